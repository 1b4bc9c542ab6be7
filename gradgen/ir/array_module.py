"""Everything a generated module on arrays is made of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

from gradgen.ir.amounts import Amount, amount
from gradgen.ir.array_plan import ArrayObjective, ArrayPlan
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import Var
from gradgen.ir.eligibility import ArrayEligibility
from gradgen.ir.emitted import EMITTED_ON_ARRAYS, HVP, EmittedFunction
from gradgen.ir.loops import LOOP, Loop, loop_of
from gradgen.ir.module import Options, Passes
from gradgen.ir.patterns import Pattern
from gradgen.ir.prices import Prices
from gradgen.ir.program import Program
from gradgen.ir.recipe import ArrayRecipe
from gradgen.ir.shapes import Shape, elements, shapes_of
from gradgen.ir.source import Source


@dataclass(frozen=True)
class Work:
    """What an accumulation takes at the recorded sizes, beside plain forward or reverse mode."""

    plan: ArrayPlan
    sweep: ArrayPlan


@dataclass(frozen=True)
class ArrayJacobian:
    """The terms of the Jacobian's entries."""

    program: Program
    plan: ArrayPlan
    entries: tuple[tuple[tuple[str, str], tuple[Pattern, ...]], ...]
    """For each output's and input's path the patterns of the terms, in the order of the results."""
    modes: tuple[tuple[str, int], ...]
    """The multiplications of forward and reverse mode, where these are possible."""


@dataclass(frozen=True)
class ArraySecondOrder:
    """The program of Hessian-vector products of a loss: of its gradient's tangents."""

    trace: ArrayTrace
    """Of the gradient."""
    pushed: Work
    program: Program


@dataclass(frozen=True)
class ArrayPrice:
    """What value and vector product cost, by prices that were asked for."""

    prices: Prices
    by: str
    """The prices by name."""
    chosen: int
    reverse: int

    what: ClassVar[str] = "price"

    def told(self) -> str:
        """`229.3 pJ (reverse 286.5)`."""
        chosen, reverse = (self.prices.in_units(cost) for cost in (self.chosen, self.reverse))
        return f"{chosen:,.10g} {self.prices.unit} (reverse {reverse:,.10g})"


@dataclass(frozen=True)
class ArrayModule:
    """A source on arrays with the programs that were made of it."""

    source: Source
    trace: ArrayTrace
    primal: Program
    vjp: Program
    jvp: Program | None
    """None where an operation has no rule for tangents."""
    gradient: Program | None
    """Value and gradient of a single number."""
    passes: Passes
    pulled: Work
    pushed: Work | None
    cotangents: tuple[tuple[str, str], ...]
    """For each output's path, the variable of its cotangent."""
    tangents: tuple[tuple[str, str], ...]
    """For each differentiated input's path, the variable of its tangent."""
    emit: tuple[str, ...]
    generator: str
    """Name and version of the generator, for the header."""
    source_name: str
    """The source's path as it is shown, never absolute."""
    recipe: ArrayRecipe
    """The orders of its plans; replayed, they give this module again."""
    objective: ArrayObjective = "muls"
    """What they were searched for by."""
    options: Options = ()
    imports: tuple[tuple[str, str], ...] = ()
    """The local modules that the source needs, and their digests."""
    jacobian: ArrayJacobian | None = None
    """Where it is asked for."""
    takes: Amount | None = None
    """An estimate of the bytes that the derivative takes, where there are loops over time: it is
    made at the recorded sizes."""
    factor: float = 1.0
    """How many times its operations that takes, for less memory."""
    traces: ArrayEligibility | None = None
    """Likewise."""
    second: ArraySecondOrder | None = None
    """Likewise."""
    price: ArrayPrice | None = None
    """Where programs were chosen by it."""

    @cached_property
    def shapes(self) -> dict[Var, Shape]:
        """The shapes of whatever programs are given."""
        trace, passes = self.trace, self.passes
        by_path = dict(zip((o.path for o in trace.outputs), trace.output_shapes, strict=True))
        by_path |= {i.path: s for i, s in zip(trace.inputs, trace.shapes, strict=True)}
        found = dict(trace.shapes_by_variable)
        found |= {v: by_path[path] for path, v in (*self.cotangents, *self.tangents)}
        whole = shapes_of(passes.whole.instructions, found)
        kept = {v: whole[v] for v in passes.kept}
        if self.traces is None:
            return found | kept
        held = {v: h.shape for h in self.traces.held for v in (h.variable, h.given) if v}
        return found | kept | held

    @property
    def memory(self) -> int | None:
        """What the derivative takes at the recorded sizes."""
        return None if self.takes is None else self.takes.at(dict(self.trace.sizes))

    @property
    def keeps(self) -> Amount:
        """The bytes of what goes from the forward pass to the backward pass."""
        sizes = dict(self.trace.sizes)
        return sum(
            (
                bytes_ // elements(self.shapes[v], sizes) * amount(self.shapes[v])
                for v, bytes_ in zip(self.passes.kept, self.passes.sizes, strict=True)
                if bytes_
            ),
            Amount(),
        )

    @property
    def measured(self) -> str:
        """What value and vector product cost, or the product's accumulation comes to by the
        objective, beside the plain mode, where that is not multiplications: `peak 860,160 bytes
        (reverse 983,040)`."""
        if self.price is not None:
            return f"price by {self.price.by} {self.price.told()}"
        if self.objective == "muls":
            return ""
        unit = "bytes" if self.objective == "peak" else "values"
        plan, sweep = (w.count(self.objective) for w in (self.pulled.plan, self.pulled.sweep))
        return f"{self.objective} {plan:,} {unit} (reverse {sweep:,})"

    def trace_of(self, program: str) -> ArrayTrace:
        """What was traced for a program, by its name: the source, or its gradient."""
        return self.second.trace if self.second is not None and program == HVP else self.trace

    @property
    def blocks(self) -> tuple[Loop, ...]:
        """The loops of the derivative that run over blocks of steps."""
        code = self.passes.whole.instructions
        loops = (loop_of(i) for i in code if i.op == LOOP)
        return tuple(loop for loop in loops if loop.blocks is not None)

    @property
    def lengths_in_blocks(self) -> dict[str, int]:
        """The axes of time whose steps are taken in blocks of one size, and that size."""
        sizes = ((loop.length, loop.blocks and loop.blocks.size) for loop in self.blocks)
        return {
            length: size
            for length, size in sizes
            if isinstance(length, str) and length.isidentifier() and isinstance(size, int)
        }

    @property
    def functions(self) -> tuple[EmittedFunction, ...]:
        """The functions asked for, as far as there are any for arrays, and for this result."""
        there = self.programs.keys()
        asked = (EMITTED_ON_ARRAYS[name] for name in self.emit)
        return tuple(function for function in asked if there >= {*function.programs})

    @property
    def programs(self) -> dict[str, Program]:
        """The programs that there are, by the names of their counts."""
        found = {"primal": self.primal, "vjp": self.vjp}
        if self.jvp is not None:
            found["jvp"] = self.jvp
        if self.gradient is not None:
            found["gradient"] = self.gradient
        if self.jacobian is not None:
            found["value_and_jacobian"] = self.jacobian.program
        if self.second is not None:
            found[HVP] = self.second.program
        if self.traces is not None:
            found["traces_start"] = self.traces.start
            found["traces"] = self.traces.step
            found["traces_pulled"] = self.traces.pulled
        return found | {"residuals": self.passes.forward, "backward": self.passes.backward}
