"""What a search can be asked to make small, by the definitions of docs/costs.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, cast, get_args

from gradgen.ir.plan import PlanObjective
from gradgen.ir.prices import COUNTED, Prices

Count = Literal["muls", "edges", "adds", "peak", "ops", "price"]


@dataclass(frozen=True)
class Objective:
    """One count, and what operations cost wherever finished programs are compared."""

    count: Count = "muls"
    prices: Prices = COUNTED

    @property
    def of_program(self) -> bool:
        """Whether finished programs decide, which no search for an order knows."""
        return self.count not in get_args(PlanObjective)

    @property
    def searched(self) -> PlanObjective:
        """What the search for an order makes small: where programs decide, multiplications."""
        return "muls" if self.of_program else cast("PlanObjective", self.count)

    @property
    def for_products(self) -> Objective:
        """What vector products, of which no order is searched for, are chosen by."""
        return Objective("price", self.prices)


FEW_MULTIPLICATIONS = Objective()
"""What is made small unless one asks for something else."""
