"""What value and Jacobian come to by a price or an error, each program once."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Literal

from gradgen.compile.front import Front, ranges_of
from gradgen.ir.module import Accumulated, Derivative
from gradgen.ir.objective import Measured
from gradgen.ir.program import Program
from gradgen.verify.rounding_error import RoundingError

Measure = Callable[[Derivative], Measured | None]


def measure_of(front: Front, lowered: Accumulated) -> Measure:
    """How derivatives are measured by the front's objective; None comes of all others.

    `lowered` is the Jacobian's program in any order.
    """
    objective = front.settings.objective
    if objective.count == "price":
        prices = objective.prices
        by = dict(front.settings.options())["prices"]
        return _measure("price", str(by), prices.unit, prices.price)
    if objective.precision is not None:
        short = objective.precision
        error = RoundingError(front.trace, ranges_of(front), short, lowered.program)
        return _measure("error", short, "", error.of)
    return lambda derivative: None


def _measure(
    what: Literal["price", "error"], by: str, unit: str, of: Callable[[Program], float]
) -> Measure:
    known = cache(of)

    def measured(derivative: Derivative) -> Measured:
        modes = derivative.forward, derivative.reverse, derivative.chosen
        return Measured(what, by, unit, *(known(found.program) for found in modes))

    return measured
