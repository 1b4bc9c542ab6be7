"""What a search can be asked to make small, by the definitions of docs/costs.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from gradgen.ir.array_plan import ArrayObjective
from gradgen.ir.plan import NumberObjective, PlanObjective
from gradgen.ir.prices import COUNTED, Prices

Count = Literal["muls", "edges", "adds", "peak", "locality", "ops", "price", "error"]
_OF_PROGRAMS = ("ops", "price", "error")
ON_ARRAYS: tuple[Count, ...] = ("muls", "peak", "locality", "ops", "price")
"""What can be made small of functions on arrays."""
FRONT_OF_NEURONS: tuple[str, ...] = get_args(NumberObjective)
FRONT_ON_ARRAYS: tuple[str, ...] = get_args(ArrayObjective)
"""Counts between which there are fronts of orders."""


@dataclass(frozen=True)
class Objective:
    """One count, and what operations cost wherever finished programs are compared."""

    count: Count = "muls"
    prices: Prices = COUNTED
    precision: str | None = None
    """Of an error: the one in which programs are rounded."""

    @property
    def name(self) -> str:
        """By which it is asked for: `price`, or `error:float16`."""
        return self.count if self.precision is None else f"{self.count}:{self.precision}"

    @property
    def of_program(self) -> bool:
        """Whether finished programs decide, which no search for an order knows."""
        return self.count in _OF_PROGRAMS

    @property
    def searched(self) -> PlanObjective:
        """What the search for an order makes small: where programs decide, multiplications."""
        return "muls" if self.of_program else cast("PlanObjective", self.count)

    @property
    def searched_on_arrays(self) -> ArrayObjective:
        """The same on arrays."""
        return "muls" if self.of_program else cast("ArrayObjective", self.count)

    @property
    def for_products(self) -> Objective:
        """What vector products, of which no order is searched for, are chosen by."""
        return Objective("price", self.prices)


FEW_MULTIPLICATIONS = Objective()
"""What is made small unless one asks for something else."""
NAMED = {
    objective.name: objective
    for objective in (
        FEW_MULTIPLICATIONS,
        Objective("edges"),
        Objective("adds"),
        Objective("peak"),
        Objective("locality"),
        Objective("ops"),
        Objective("price"),
        *(Objective("error", precision=short) for short in ("bfloat16", "float16")),
    )
}
"""By name; `price` has those prices that come with it."""


@dataclass(frozen=True)
class Measured:
    """What value and Jacobian come to by a price or an error, beside plain modes."""

    what: Literal["price", "error"]
    by: str
    """The prices by name, or the precision."""
    unit: str
    """Empty for an error, which is relative."""
    forward: float
    reverse: float
    chosen: float

    def told(self) -> str:
        """`229.3 pJ (forward mode 261.5, reverse mode 286.5)`."""
        unit = f" {self.unit}" if self.unit else ""
        return (
            f"{self.chosen:.10g}{unit} (forward mode {self.forward:.10g}, reverse mode "
            f"{self.reverse:.10g})"
        )
