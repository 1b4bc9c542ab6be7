"""Everything that a report says about one model."""

from __future__ import annotations

from dataclasses import dataclass

from gradgen.ir.graph import Elimination, PartialKind
from gradgen.report.costs import LineCost
from gradgen.report.view import GraphView
from gradgen.verify.times import Times
from gradgen.verify.verdict import Verdict


@dataclass(frozen=True)
class EdgeSpan:
    """An edge of the replayed graph, for as long as its value stays the same."""

    source: int
    target: int
    kind: PartialKind
    first: int
    """The frame in which it appears; frame 0 is the graph as it is."""
    last: int
    """The last frame that has it."""
    value: str
    """The elemental partial, or the products that were added up."""
    axes: str = ""
    """On arrays, which axes of the target hang on which of the source."""


@dataclass(frozen=True)
class Eliminated:
    """One elimination; the graph after it is the frame with its number, from 1."""

    label: str
    gone: tuple[int, ...]
    """The vertices that have no edges from then on."""
    products: tuple[str, ...]
    muls: int
    """Of these products, those that take a multiplication."""
    total: int
    """The multiplications so far."""


@dataclass(frozen=True)
class EliminationReplay:
    """An elimination, step by step."""

    elimination: Elimination
    found_by: str
    proved_optimal: bool
    steps: tuple[Eliminated, ...]
    spans: tuple[EdgeSpan, ...]


@dataclass(frozen=True)
class ComparedCount:
    """One count of the program, beside what other orders take."""

    count: str
    """`muls`, `edges`, `ops`, `price` or `error`."""
    forward: float | None
    """None where such an order is impossible: on arrays, where linear maps are applied."""
    reverse: float
    markowitz: float | None
    """None where it is impossible as well, or not measured."""
    best: float
    unit: str = ""
    """Of a price; the precision of an error."""


@dataclass(frozen=True)
class Sparsity:
    """The Jacobian's structure: outputs by inputs."""

    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    kinds: tuple[tuple[PartialKind | None, ...], ...]
    """The kind of every entry; None where it is zero by structure."""


@dataclass(frozen=True)
class OperationCounts:
    """The operations of one generated program, by kind."""

    program: str
    counts: tuple[tuple[str, int], ...]
    total: int
    formula: str = ""
    """On arrays, the total in the sizes of axes."""


@dataclass(frozen=True)
class ProgramPart:
    """A run of a program between the loops of it, or one of these."""

    title: str
    total: int
    formula: str
    generated: int | None
    """The line of the generated text that it begins on."""


@dataclass(frozen=True)
class KeptValue:
    """What the forward pass keeps for the backward pass."""

    name: str
    shape: str
    bytes: int
    """In float32; zero for what is the same in every step, and what the caller has anyway."""
    line: int | None = None
    """Of the source, that computes it; None for what the caller has."""


@dataclass(frozen=True)
class LoopReport:
    """A loop of the source: how one of its steps is differentiated."""

    title: str
    line: int | None
    """Of the source."""
    length: str
    """The axis, or the number, of its steps."""
    steps: int
    """At the recorded sizes."""
    graph: GraphView
    """Of a step."""
    replay: EliminationReplay
    comparisons: tuple[ComparedCount, ...]
    recurrence: tuple[tuple[str, str], ...]
    """What a step makes, and what that is to the next step."""


@dataclass(frozen=True)
class Equation:
    """A statement of the step, as the generated text's names have it."""

    text: str
    line: int | None
    """Of the source, that it is the value of."""
    lines: tuple[int, ...]
    """All those of the source that have a part in it."""
    generated: int | None
    """The line of the generated text that computes it."""
    vertex: int | None
    """Of the graph."""
    partials: tuple[str, ...]
    """With respect to its operands."""


@dataclass(frozen=True)
class SourceLine:
    """A line of a function of the source."""

    number: int
    text: str
    equations: tuple[int, ...]
    """By number; those that have something of this line in them."""
    cost: LineCost | None


@dataclass(frozen=True)
class ModelReport:
    """A step function, its generated file and how it was made."""

    function: str
    source_name: str
    about: str
    """The docstring of the source file."""
    wrt: tuple[str, ...]
    generator: str
    graph: GraphView
    replay: EliminationReplay
    comparisons: tuple[ComparedCount, ...]
    jacobian: Sparsity | None
    """None on arrays, where none is formed."""
    operations: tuple[OperationCounts, ...]
    verification: Verdict
    source: tuple[SourceLine, ...]
    equations: tuple[Equation, ...]
    text: str
    """The generated file."""
    basis: str = ""
    """Where the order comes from, if it was not searched for just now."""
    sizes: tuple[tuple[str, int], ...] = ()
    """On arrays, what axes count for."""
    loops: tuple[LoopReport, ...] = ()
    parts: tuple[ProgramPart, ...] = ()
    """Of the vector-Jacobian product, where there are loops."""
    kept: tuple[KeptValue, ...] = ()
    """On arrays."""
    times: Times | None = None
    """On arrays, where they were measured."""

    @property
    def on_arrays(self) -> bool:
        """Whether it is on arrays: elements are counted, and no Jacobian is formed."""
        return self.jacobian is None

    def comparison(self, count: str) -> ComparedCount:
        """A count by name."""
        return next(c for c in self.comparisons if c.count == count)
