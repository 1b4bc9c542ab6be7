"""What a program costs, by what is to be small."""

from __future__ import annotations

from gradgen.compile.refine import Cost
from gradgen.ir.module import Accumulated
from gradgen.ir.objective import Objective
from gradgen.ir.plan import Plan


def cost_of(found: Accumulated, objective: Objective) -> Cost:
    """What is to be small, and what breaks ties."""
    return compared(found.plan, price_of(found, objective), objective)


def compared(plan: Plan, price: int, objective: Objective) -> Cost:
    """The same of a plan whose program has this price."""
    if objective.of_program:
        return price, plan.muls
    return searched_count(plan, objective), price


def price_of(found: Accumulated, objective: Objective) -> int:
    """What the finished program costs: its operations, unless other prices are asked for."""
    return objective.prices.of(found.program.instructions)


def searched_count(plan: Plan, objective: Objective) -> int:
    """The count that the search for the order made small."""
    count: int = getattr(plan, objective.searched)
    return count
