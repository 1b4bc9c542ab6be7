"""Products of a Jacobian with vectors: their graphs, the programs of their orders, the cheapest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Literal

from gradgen.compile.costs import price_of
from gradgen.compile.refine import Cost, refine
from gradgen.elimination.accumulate import OrderMismatchError, accumulate
from gradgen.elimination.extend import weight_inputs, weight_outputs
from gradgen.ir.code import Var
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.module import Accumulated, Derivative
from gradgen.ir.objective import Objective
from gradgen.ir.plan import Plan
from gradgen.ir.program import Program
from gradgen.ir.recipe import Steps
from gradgen.lowering.lower import Lowering
from gradgen.search.heuristics import forward, propose, reverse

Accumulating = Callable[[Order], Accumulated]

_EVALUATIONS = 200
"""Programs that are lowered in the search for a cheaper order of about the same kind."""
_EVALUATED = 10_000
"""Instructions that these have together, about."""


def evaluations(program: Program) -> int:
    """How many programs of about this length are lowered in a search."""
    return min(_EVALUATIONS, _EVALUATED // (len(program.instructions) + 1))


def accumulating(graph: LinearGraph, lower: Callable[[Plan], Program]) -> Accumulating:
    """Accumulates a graph in an order and lowers the plan, each order once."""

    @cache
    def accumulated(order: Order) -> Accumulated:
        plan = accumulate(graph, order)
        plan.check()
        return Accumulated(order, plan, lower(plan))

    return accumulated


@dataclass(frozen=True)
class Weighted:
    """The graph of a vector product, and its programs."""

    graph: LinearGraph
    variables: tuple[tuple[str, str], ...]
    """What each weight is for, and its variable."""
    accumulated: Accumulating
    sweep: Literal["forward", "reverse"]
    """The mode that has no Jacobian in between; no program costs more multiplications."""

    @property
    def sweeps(self) -> Derivative:
        """Plain forward and reverse mode."""
        ahead, back = self.accumulated(forward(self.graph)), self.accumulated(reverse(self.graph))
        return Derivative(ahead if self.sweep == "forward" else back, ahead, back)

    def order(self, steps: Steps) -> Order:
        """The order by a heuristic's name or by its steps; OrderMismatchError if it is unknown."""
        if not isinstance(steps, str):
            return Order("vertex", self.graph.fingerprint, steps, "recorded")
        for order in propose(self.graph):
            if order.found_by == steps:
                return order
        raise OrderMismatchError(f"there is no order '{steps}'")


def pulled(lowering: Lowering, graph: LinearGraph) -> Weighted:
    """For the vector-Jacobian product."""
    paths = [graph.vertices[v].path for v in graph.dependents]
    variables = {path: f"ct{k}" for k, path in enumerate(paths)}
    extended = weight_outputs(graph, variables)
    lower = partial(lowering.vjp, cotangents=list(variables.values()))
    return Weighted(extended, tuple(variables.items()), accumulating(extended, lower), "reverse")


def pushed(graph: LinearGraph, lowered: Callable[[Plan, Sequence[Var]], Program]) -> Weighted:
    """For a Jacobian-vector product."""
    paths = [graph.vertices[v].path for v in graph.independents]
    variables = {path: f"tan{k}" for k, path in enumerate(paths)}
    extended = weight_inputs(graph, variables)
    tangents = list(variables.values())
    accumulated = accumulating(extended, lambda plan: lowered(plan, tangents))
    return Weighted(extended, tuple(variables.items()), accumulated, "forward")


def cheapest(weighted: Weighted, objective: Objective) -> Steps:
    """The order with the cheapest program of those that take no more multiplications."""
    accumulated, limit = weighted.accumulated, weighted.sweeps.chosen

    def cost(order: Order) -> Cost:
        found = accumulated(order)
        excess = price_of(limit, objective) if found.plan.muls > limit.plan.muls else 0
        return price_of(found, objective) + excess, found.plan.muls

    heuristics = propose(weighted.graph)
    best = refine(heuristics, cost, evaluations(limit.program))
    return best.found_by if best in heuristics else best.steps
