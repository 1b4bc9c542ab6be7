"""What a program costs, by what is to be small."""

from __future__ import annotations

from gradgen.compile.refine import Cost
from gradgen.elimination.cost import plan_costs
from gradgen.ir.module import Accumulated
from gradgen.ir.plan import Objective


def cost_of(found: Accumulated, objective: Objective) -> Cost:
    """What is to be small, and what breaks ties."""
    total, muls = found.operations.total, found.plan.muls
    return (total, muls) if objective == "ops" else (searched_count(found, objective), total)


def searched_count(found: Accumulated, objective: Objective) -> int:
    """The count that the search for the order made small."""
    return plan_costs(found.plan).ranked("muls" if objective == "ops" else objective)[0]
