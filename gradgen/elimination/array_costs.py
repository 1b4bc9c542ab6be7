"""What the values of an accumulation on arrays take: bytes, and how many cross neurons."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from gradgen.elimination.localities import couples, joins_neurons
from gradgen.ir.array_plan import Add, Apply, Multiply, Step, Through
from gradgen.ir.array_trace import Operator
from gradgen.ir.liveness import most_held
from gradgen.ir.patterns import Pattern
from gradgen.ir.shapes import Sizes, size

FLOAT, TRUTH = 4, 1
"""Bytes of a number in float32, and of a truth value."""


@dataclass(frozen=True)
class EdgeValue:
    """A value on an edge: its pattern, and whether the edge is one to or from the single number,
    so that it is a cotangent or a tangent, which is where its neurons are."""

    pattern: Pattern
    is_vector: bool

    @property
    def couples(self) -> bool:
        """Whether it leads from neurons to others."""
        return not self.is_vector and joins_neurons(self.pattern)


def bytes_of(pattern: Pattern, sizes: Sizes) -> int:
    """What the values of a pattern take; a single number, which varies along nothing, takes
    none, and what is a mask is of truth values."""
    if not pattern.held:
        return 0
    each = TRUTH if pattern.free else FLOAT
    return each * prod(size(pattern.dims[label], sizes) for label in pattern.held)


def crossing(left: EdgeValue, right: EdgeValue, sizes: Sizes) -> int:
    """How many values a product takes to other neurons: those of each factor that meets one which
    couples neurons."""
    taken = _of_neurons(left.pattern, sizes) if right.couples else 0
    return taken + (_of_neurons(right.pattern, sizes) if left.couples else 0)


def crossing_map(operator: Operator, vector: Pattern, sizes: Sizes) -> int:
    """How many values of a vector a linear map takes to other neurons."""
    return _of_neurons(vector, sizes) if couples(operator) else 0


def _of_neurons(pattern: Pattern, sizes: Sizes) -> int:
    """The values that there are; none of a number that all neurons have."""
    dims = [pattern.dims[label] for label in pattern.held]
    if not any(isinstance(dim, str) for dim in dims):
        return 0
    return prod(size(dim, sizes) for dim in dims)


def peak_of(
    partials: tuple[Pattern, ...],
    steps: tuple[Step, ...],
    eliminated: tuple[str, ...],
    kept: tuple[int, ...],
    sizes: Sizes,
) -> int:
    """The most bytes of partials that are held at once.

    Sums of parallel edges, which come before all eliminations, are elemental partials as well.
    """
    first = next((k for k, vertex in enumerate(eliminated) if vertex), len(steps))
    patterns = (*partials, *(step.pattern for step in steps))
    within, run = [], set[str]()
    for step in steps[first:]:
        new = isinstance(step, Through) and step.loop not in run
        within.append(step.steps.plan.peak if isinstance(step, Through) and new else 0)
        run.update((step.loop,) if isinstance(step, Through) else ())
    return most_held(
        [bytes_of(pattern, sizes) for pattern in patterns],
        [_operands(step) for step in steps[first:]],
        kept,
        within,
    )


def _operands(step: Step) -> tuple[int, ...]:
    if isinstance(step, Multiply | Add):
        return step.left, step.right
    if isinstance(step, Apply):
        return (step.value,)
    return tuple(value for _, value in step.given)
