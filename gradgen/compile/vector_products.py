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
from gradgen.ir.prices import Prices
from gradgen.ir.program import Program
from gradgen.ir.recipe import Steps
from gradgen.lowering.lower import Lowering
from gradgen.search.heuristics import forward, propose, reverse

_EVALUATIONS = 200
"""Programs that are lowered in the search for a cheaper order of about the same kind."""
_EVALUATED = 10_000
"""Instructions that these have together, about."""


def evaluations(program: Program) -> int:
    """How many programs of about this length are lowered in a search."""
    return min(_EVALUATIONS, _EVALUATED // (len(program.instructions) + 1))


class Accumulating:
    """Accumulates a graph in an order and lowers the plan, each order once."""

    def __init__(self, graph: LinearGraph, lower: Callable[[Plan], Program]) -> None:
        self._graph, self._lower = graph, lower
        self.plan = cache(self._plan)
        self.accumulated = cache(self._accumulated)
        self._numbers: dict[tuple[str, int, int], int] = {}
        """Of products and sums of two values, whose numbers these are."""
        self._prices: dict[tuple[frozenset[int], Prices], int] = {}

    def _plan(self, order: Order) -> Plan:
        """The plan of an order."""
        plan = accumulate(self._graph, order)
        plan.check()
        return plan

    def _accumulated(self, order: Order) -> Accumulated:
        """The plan and the program of an order."""
        plan = self.plan(order)
        return Accumulated(order, plan, self._lower(plan))

    def price(self, order: Order, objective: Objective) -> int:
        """What the program of an order costs.

        Half of the neighbours of an order differ only in which of two vertices that have nothing
        to do with each other goes first. They take the same products and sums, in another
        sequence: one of them is lowered.
        """
        key = self._values(self.plan(order)), objective.prices
        if key not in self._prices:
            self._prices[key] = price_of(self.accumulated(order), objective)
        return self._prices[key]

    def _values(self, plan: Plan) -> frozenset[int]:
        """The products and sums of a plan, in whatever sequence they are taken."""
        edges = len(plan.graph.edges)
        numbers = [*range(edges)]
        for step in plan.steps:
            one, other = sorted((numbers[step.left], numbers[step.right]))
            new = edges + len(self._numbers)
            numbers.append(self._numbers.setdefault((step.op, one, other), new))
        return frozenset(numbers[edges:])


@dataclass(frozen=True)
class Weighted:
    """The graph of a vector product, and its programs."""

    graph: LinearGraph
    variables: tuple[tuple[str, str], ...]
    """What each weight is for, and its variable."""
    accumulating: Accumulating
    sweep: Literal["forward", "reverse"]
    """The mode that has no Jacobian in between; no program costs more multiplications."""

    def accumulated(self, order: Order) -> Accumulated:
        """The plan and the program of an order."""
        return self.accumulating.accumulated(order)

    @property
    def sweeps(self) -> Derivative:
        """Plain forward and reverse mode."""
        ahead, back = map(self.accumulated, (forward(self.graph), reverse(self.graph)))
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
    return Weighted(extended, tuple(variables.items()), Accumulating(extended, lower), "reverse")


def pushed(graph: LinearGraph, lowered: Callable[[Plan, Sequence[Var]], Program]) -> Weighted:
    """For a Jacobian-vector product."""
    paths = [graph.vertices[v].path for v in graph.independents]
    variables = {path: f"tan{k}" for k, path in enumerate(paths)}
    extended = weight_inputs(graph, variables)
    tangents = list(variables.values())
    accumulating = Accumulating(extended, lambda plan: lowered(plan, tangents))
    return Weighted(extended, tuple(variables.items()), accumulating, "forward")


def cheapest(weighted: Weighted, objective: Objective) -> Steps:
    """The order with the cheapest program of those that take no more multiplications."""
    accumulating, limit = weighted.accumulating, weighted.sweeps.chosen
    most = price_of(limit, objective)

    def cost(order: Order) -> Cost:
        muls = accumulating.plan(order).muls
        # what takes more is not looked at: the limit itself is among the orders
        price = most + 1 if muls > limit.plan.muls else accumulating.price(order, objective)
        return price, muls

    heuristics = propose(weighted.graph)
    best = refine(heuristics, cost, evaluations(limit.program))
    return best.found_by if best in heuristics else best.steps
