"""The steps of an elimination on a graph of arrays: products, sums, and linear maps applied."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gradgen.ir.array_trace import Applied, Partial
from gradgen.ir.code import Var, shown_atom
from gradgen.ir.graph import Order
from gradgen.ir.patterns import Pattern, Product, described
from gradgen.ir.shapes import Shape

ArrayObjective = Literal["muls", "peak", "locality"]
"""Counts that a plan on arrays decides."""

TIP = "="
"""Before a variable: the vertex of the output that it is, which nothing reads further."""


def tip(variable: Var) -> Var:
    """The vertex of an output that the variable is."""
    return f"{TIP}{variable}"


def weight_of(loop: Var, index: int) -> Var:
    """The variable of the cotangent of a loop's result in one step, or of an operand's tangent."""
    return f"{loop}_w{index}"


@dataclass(frozen=True)
class Multiply:
    """A product of two values, by number."""

    left: int
    right: int
    product: Product

    @property
    def pattern(self) -> Pattern:
        """Of the product."""
        return self.product.pattern


@dataclass(frozen=True)
class Add:
    """A sum of two values, by number, with its pattern."""

    left: int
    right: int
    pattern: Pattern


@dataclass(frozen=True)
class Apply:
    """An operator applied to a value, by number: to a cotangent, or to a tangent."""

    applied: Applied
    value: int
    shape: Shape
    """Of what it is applied to."""
    pattern: Pattern


@dataclass(frozen=True)
class StepPlan:
    """How the steps of a loop are differentiated."""

    plan: ArrayPlan
    """Of one step: of the vector product by its results, or by what it is given."""
    weighed: tuple[int, ...]
    """The results of a step that have cotangents, or what it is given that has tangents: what the
    loop is asked for, and what follows from that from step to step."""


@dataclass(frozen=True)
class Through:
    """Vectors through a loop: the cotangent of one thing it is given, from those of its results;
    or the tangent of a result."""

    loop: Var
    given: tuple[tuple[int, int], ...]
    """Which results there are cotangents of, or operands there are tangents of, and their values,
    by number."""
    wanted: int
    steps: StepPlan
    pattern: Pattern


Step = Multiply | Add | Apply | Through


@dataclass(frozen=True)
class ArrayPlan:
    """The steps of an elimination, on top of the partials that are stored, and what is left."""

    partials: tuple[Partial, ...]
    steps: tuple[Step, ...]
    eliminated: tuple[Var, ...]
    """For each step the vertex that is eliminated by it; none for sums of parallel edges."""
    results: tuple[tuple[Var, Var, tuple[int, ...]], ...]
    """For each end and what it is differentiated by, the values that the derivative is the sum
    of."""
    complete: tuple[tuple[int, Var], ...]
    """Values that are the whole derivative of, or by, a variable."""
    muls: int
    adds: int
    peak: int
    """The most bytes of partials that are held at once, in float32 at the recorded sizes."""
    locality: int
    """How many values cross neurons."""
    order: Order
    """If it is proved optimal, none takes less at the recorded sizes of what was made small."""

    def count(self, objective: ArrayObjective) -> int:
        """One of the counts."""
        counts: dict[ArrayObjective, int] = {
            "muls": self.muls,
            "peak": self.peak,
            "locality": self.locality,
        }
        return counts[objective]

    def ranked(self, objective: ArrayObjective) -> tuple[int, int, int]:
        """What plans are compared by: the objective, then multiplications and additions."""
        return self.count(objective), self.muls, self.adds

    @cached_property
    def patterns(self) -> tuple[Pattern, ...]:
        """Of all values, by number."""
        partials = tuple(partial.pattern for partial in self.partials)
        return partials + tuple(step.pattern for step in self.steps)

    def pretty(self) -> str:
        """The values by number, each with its pattern, then what is left; and those of loops."""
        lines = [f"muls {self.muls:,}, adds {self.adds:,}, order: {self.order.found_by}"]
        for number, partial in enumerate(self.partials):
            atom, shown = shown_atom(partial.atom), described(partial.pattern)
            lines.append(f"  #{number} = {atom}, by {partial.source}  ({shown})")
        for number, step in enumerate(self.steps, start=len(self.partials)):
            lines.append(f"  #{number} = {_said(step)}  ({described(step.pattern)})")
        for target, source, values in self.results:
            total = " + ".join(f"#{value}" for value in values) or "0"
            lines.append(f"  d {target} / d {source} = {total}")
        for loop, steps in self.of_steps.items():
            below = steps.plan.pretty().split("\n")
            lines += [f"a step of {loop}:", *(f"  {line}" for line in below)]
        return "\n".join(lines)

    @property
    def of_steps(self) -> dict[Var, StepPlan]:
        """How the steps of each loop are differentiated, in the order in which they are met."""
        return {step.loop: step.steps for step in self.steps if isinstance(step, Through)}


def _said(step: Step) -> str:
    if isinstance(step, Multiply):
        return f"#{step.left} * #{step.right}"
    if isinstance(step, Add):
        return f"#{step.left} + #{step.right}"
    if isinstance(step, Apply):
        return f"a linear map of #{step.value}"
    met = ", ".join(f"#{value}" for _, value in step.given)
    return f"{met} through {step.loop}, number {step.wanted}"
