"""What an order costs: the counts of docs/costs.md by their names.

`edges`, `muls`, `adds` and `peak` are read off a finished plan, whatever kind of elimination made
it. `ops` is read off a finished program, since it depends on what folding and sharing leave: see
`gradgen.ir.program.count_operations`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from gradgen.elimination.accumulate import accumulate
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import Plan, PlanObjective

PLAN_OBJECTIVES: tuple[PlanObjective, ...] = get_args(PlanObjective)


@dataclass(frozen=True)
class PlanCosts:
    """The counts of a plan."""

    edges: int
    muls: int
    adds: int
    peak: int

    def ranked(self, objective: PlanObjective) -> tuple[int, int]:
        """What plans are compared by: the objective, and `edges + adds` to break ties."""
        return getattr(self, objective), self.edges + self.adds


def plan_costs(plan: Plan) -> PlanCosts:
    """Count a plan."""
    return PlanCosts(plan.edges, plan.muls, plan.adds, plan.peak)


def cost_of(graph: LinearGraph, order: Order, objective: PlanObjective) -> int:
    """What an order costs.

    Raises OrderMismatchError if it is for another graph.
    """
    return plan_costs(accumulate(graph, order)).ranked(objective)[0]
