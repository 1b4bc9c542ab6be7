"""What a program costs, by what is to be small."""

from __future__ import annotations

from gradgen.compile.refine import Cost
from gradgen.elimination.cost import plan_costs
from gradgen.ir.module import Accumulated
from gradgen.ir.objective import Objective


def cost_of(found: Accumulated, objective: Objective) -> Cost:
    """What is to be small, and what breaks ties."""
    price = price_of(found, objective)
    return (
        (price, found.plan.muls)
        if objective.of_program
        else (searched_count(found, objective), price)
    )


def price_of(found: Accumulated, objective: Objective) -> int:
    """What the finished program costs: its operations, unless other prices are asked for."""
    return objective.prices.of(found.program.instructions)


def searched_count(found: Accumulated, objective: Objective) -> int:
    """The count that the search for the order made small."""
    return plan_costs(found.plan).ranked(objective.searched)[0]
