"""How large the rounding errors of a Jacobian are in a short precision, by docs/costs.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradgen.ir.code import Var, is_float
from gradgen.ir.program import PRIMAL, Program
from gradgen.ir.results import OutputValue, Result
from gradgen.ir.trace import Trace
from gradgen.verify.compiling import precision
from gradgen.verify.evaluate import Evaluator, Values
from gradgen.verify.floats import Array
from gradgen.verify.points import Range, cast, draw, input_ranges
from gradgen.verify.rounding import RoundedEvaluator

POINTS = 256
"""Drawn from the ranges; the same for all programs."""
_DIGITS = 3
"""An error is told in so many: it is no more certain, and its last bits differ by machine."""

Entries = Mapping[Result, Array]
"""Values of a Jacobian's entries, one for each point."""


class RoundingError:
    """The errors of programs that compute one Jacobian, in one precision.

    What an error is relative to is the Jacobian in float64 from the values that the step itself has
    in that precision: these are the same in all programs, and so is what they make of branches.
    """

    def __init__(
        self,
        trace: Trace,
        ranges: Mapping[str, Range],
        short: str,
        program: Program,
        seed: int = 0,
    ) -> None:
        """`program` is any of them, as it was lowered; `seed` that of the points."""
        self._rounded = RoundedEvaluator(short)
        self._inputs = rounded_points(trace, ranges, self._rounded, seed)
        step = [i for s in program.sections if s.title == PRIMAL for i in s.instructions]
        with precision("float64"):
            known = self._rounded.run(step, self._inputs)
        self._exact = entries_of(Evaluator("float64", exact=False), program, self._inputs, known)

    def of(self, program: Program) -> float:
        """The error of one of them."""
        return relative_error(entries_of(self._rounded, program, self._inputs), self._exact)


def rounded_points(
    trace: Trace, ranges: Mapping[str, Range], rounded: RoundedEvaluator, seed: int
) -> Values:
    """Inputs drawn from their ranges, in float64, floats among them rounded."""
    points = cast(trace, draw(trace, input_ranges(trace, ranges), POINTS, seed), "float64")
    return {
        leaf.variable: rounded.rounded(values) if is_float(leaf.dtype) else values
        for leaf, values in zip(trace.inputs, points, strict=True)
    }


def entries_of(
    evaluator: Evaluator, program: Program, inputs: Values, known: Mapping[Var, Any] | None = None
) -> Entries:
    """A Jacobian's entries by one of its programs; what is `known` is not computed."""
    with precision("float64"):
        values = evaluator.run(program.instructions, inputs, known)
        return {
            key: np.broadcast_to(np.asarray(evaluator.atom(atom, values), np.float64), (POINTS,))
            for key, atom in program.results
            if not isinstance(key, OutputValue)
        }


def relative_error(found: Entries, exact: Entries) -> float:
    """The root mean square, over entries and points, of errors relative to their entry's own root
    mean square over points; each counts one at most, and one where it is not finite.

    Points at which an entry is not finite in float64 are left out, and so are entries that are zero
    at all others.
    """
    squares = [
        square
        for key, values in exact.items()
        if (square := _mean_square(found[key], values)) is not None
    ]
    error = np.sqrt(np.mean(squares)) if squares else 0.0
    return float(f"{error:.{_DIGITS}g}")


def _mean_square(found: Array, exact: Array) -> float | None:
    """Of the relative error of an entry; None if there is nothing that it is relative to."""
    finite = np.isfinite(exact)
    largest = np.max(np.abs(exact[finite]), initial=0.0)
    if largest == 0:
        return None
    with np.errstate(all="ignore"):
        exact, found = exact[finite] / largest, found[finite] / largest
        relative = np.abs(found - exact) / np.sqrt(np.mean(exact**2))
    return float(np.mean(np.where(relative < 1, relative, 1.0) ** 2))
