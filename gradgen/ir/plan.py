"""The accumulation of a Jacobian, step by step, as an order prescribes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from gradgen.ir.graph import LinearGraph, PartialKind
from gradgen.ir.liveness import most_held

STORED: tuple[PartialKind, ...] = ("mask", "variable")
"""The kinds whose values exist at run time only; the others are literals."""

PlanObjective = Literal["edges", "muls", "adds", "peak"]
"""Counts that a plan alone decides, so that a search for few of them need not lower it."""
ProductObjective = Literal["edges", "muls"]
"""Those that count products alone."""
NumberObjective = Literal["edges", "muls", "peak"]
"""Those between which fronts of orders are looked for."""


@dataclass(frozen=True)
class Step:
    """One product or sum of edge values; `target`, `left` and `right` number the values.

    Values 0 .. number of edges - 1 are the graph's edges, in order; every step adds one.
    """

    op: str
    """`mul` or `add`."""
    target: int
    left: int
    right: int
    kind: PartialKind
    """Of the result."""
    free: bool = False
    """For a product: whether it costs nothing under `muls`."""


@dataclass(frozen=True)
class Plan:
    """Products and sums, then the Jacobian's structurally nonzero entries."""

    graph: LinearGraph
    steps: tuple[Step, ...]
    entries: tuple[tuple[int, int, int], ...]
    """(dependent, independent, number of the value)."""

    @property
    def edges(self) -> int:
        """Products, each counted one: the accounting of AlphaGrad."""
        return sum(step.op == "mul" for step in self.steps)

    @property
    def muls(self) -> int:
        """Products that need a multiplication: neither factor a unit or mask, not both constant."""
        return sum(step.op == "mul" and not step.free for step in self.steps)

    @property
    def adds(self) -> int:
        """Products that land on an edge that exists already."""
        return sum(step.op == "add" for step in self.steps)

    @property
    def peak(self) -> int:
        """The largest number of partials alive at once.

        An elemental partial is alive from its first use, a product or sum from its own step, each
        until its last use, and all entries at the end. It is counted as each step reads its
        operands and as it has written its result, which may take the place of an operand that is
        read for the last time. Literals (units and constants) take no place.
        """
        sizes = [int(edge.kind in STORED) for edge in self.graph.edges]
        sizes += [int(step.kind in STORED) for step in self.steps]
        reads = [(step.left, step.right) for step in self.steps]
        kept = [value for _, _, value in self.entries]
        return most_held(sizes, reads, kept, [0] * len(reads))

    def check(self) -> None:
        """Raise ValueError if a value is used before it is computed or an entry is missing."""
        known = len(self.graph.edges)
        for step in self.steps:
            if step.target != known or max(step.left, step.right) >= known:
                raise ValueError(f"step {step} is out of order")
            known += 1
        for dependent, independent, value in self.entries:
            if value >= known:
                raise ValueError(f"entry {dependent}, {independent} is not computed")

    def pretty(self) -> str:
        """The steps and entries with the vertices' aliases, one a line."""
        name = {
            i: f"d{self.graph.vertices[e.target].alias}_d{self.graph.vertices[e.source].alias}"
            for i, e in enumerate(self.graph.edges)
        }
        lines = [f"muls {self.muls}, adds {self.adds}, edges {self.edges}"]
        for step in self.steps:
            left, right = (name.get(v, f"#{v}") for v in (step.left, step.right))
            sign = "*" if step.op == "mul" else "+"
            lines.append(f"  #{step.target} = {left} {sign} {right}  ({step.kind})")
        for dependent, independent, value in self.entries:
            ends = self.graph.vertices[dependent].alias, self.graph.vertices[independent].alias
            lines.append(f"  d{ends[0]}/d{ends[1]} = {name.get(value, f'#{value}')}")
        return "\n".join(lines)
