"""The search for an order: the one that suits a graph, within a budget.

Graphs that reductions take apart into few vertices are solved exactly, in milliseconds and without
numba. On others annealing does a fixed amount of work, and the rest of the budget goes into
proving how good its order is, which may improve it.

Which order is found, and what is proved of it, depends on the budget as a number and on nothing
that is timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import cast

from gradgen.elimination.accumulate import accumulate
from gradgen.elimination.cost import cost_of, plan_costs
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import PlanObjective, ProductObjective
from gradgen.search.exact.bounds import SMALL, lower_bound
from gradgen.search.exact.reductions import parts, reduce
from gradgen.search.exact.remainder import Remainder
from gradgen.search.exact.solve import solve
from gradgen.search.heuristics import propose

MANY = 300
"""Above so many intermediates nothing is proved: reductions and bounds take too long."""

Progress = Callable[[int, int, str], None]
"""Told of the best cost so far, a lower bound, and how the order was found."""


@dataclass(frozen=True)
class SearchResult:
    """An order, and what is known about it."""

    order: Order
    cost: int
    """Under the objective."""
    baselines: tuple[tuple[str, int], ...]
    """What forward, reverse and the better Markowitz order cost, by these names."""
    lower_bound: int
    """No vertex order costs less."""
    proved: bool
    """Whether the cost is the lower bound."""
    found_by: str
    bound_by: str
    seconds: float


@dataclass(frozen=True)
class _Found:
    order: Order
    baselines: tuple[tuple[str, int], ...]
    lower_bound: int
    bound_by: str


def search(
    graph: LinearGraph,
    *,
    objective: PlanObjective = "muls",
    budget: float = 2.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> SearchResult:
    """Look for a vertex order that is cheap under an objective, ties broken by `edges + adds`.

    `budget` is in seconds of a processor of 2020, which is what the search takes at most,
    and counts as work. The order is never worse than forward, reverse and both Markowitz orders.
    """
    begin = time.monotonic()
    report = progress or (lambda cost, bound, found_by: None)
    if objective in ("edges", "muls") and _is_small(graph, objective):
        found = _solve(graph, objective)
    else:
        found = _anneal_and_prove(graph, objective, budget, seed, report)
    cost = cost_of(graph, found.order, objective)
    report(cost, found.lower_bound, found.order.found_by)
    proved = cost == found.lower_bound
    return SearchResult(
        order=replace(found.order, proved_optimal=proved),
        cost=cost,
        baselines=found.baselines,
        lower_bound=found.lower_bound,
        proved=proved,
        found_by=found.order.found_by,
        bound_by=found.bound_by,
        seconds=time.monotonic() - begin,
    )


def cheapest_known(graph: LinearGraph, objective: PlanObjective) -> tuple[int, bool]:
    """What the best order costs that is there at once, and whether no vertex order costs less."""
    if objective in ("edges", "muls") and _is_small(graph, objective):
        solved = solve(graph, objective, effort=0.0)
        return solved.cost, solved.proved
    return min(cost_of(graph, order, objective) for order in propose(graph)), False


def _is_small(graph: LinearGraph, objective: ProductObjective) -> bool:
    """Whether reductions leave parts that are solved in plain Python."""
    if len(graph.intermediates) > MANY:
        return False
    state = Remainder(graph, objective)
    reduce(state)
    return all(part.bit_count() <= SMALL for part in parts(state))


def _solve(graph: LinearGraph, objective: ProductObjective) -> _Found:
    """Solve a small graph; of the optimal orders known, the one with the fewest operations."""
    solved = solve(graph, objective, effort=0.0)
    orders = propose(graph)
    ranked = {
        order: plan_costs(accumulate(graph, order)).ranked(objective)
        for order in (*orders, *((solved.order,) if solved.order else ()))
    }
    known = baselines((order.found_by, ranked[order][0]) for order in orders)
    best = min(ranked, key=lambda order: ranked[order])
    return _Found(best, known, solved.lower_bound, solved.bound_by)


def _anneal_and_prove(
    graph: LinearGraph, objective: PlanObjective, budget: float, seed: int, report: Progress
) -> _Found:
    # numba is not needed for small graphs
    from gradgen.search.annealing.anneal import anneal

    provable = objective in ("edges", "muls") and len(graph.intermediates) <= MANY
    first = lower_bound(graph, cast("ProductObjective", objective)).value if provable else 0
    annealed = anneal(
        graph,
        objective,
        effort=budget,
        seed=seed,
        progress=lambda cost, found_by: report(cost, first, found_by),
    )
    found = _Found(
        annealed.order,
        baselines(annealed.baselines),
        annealed.lower_bound,
        annealed.bound_by,
    )
    if not provable:
        return found
    solved = solve(graph, cast("ProductObjective", objective), upper=found.order, effort=budget)
    return replace(
        found, order=solved.order, lower_bound=solved.lower_bound, bound_by=solved.bound_by
    )


def baselines(costs: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """The costs of heuristics by the first word of their names, the lower one of two."""
    best: dict[str, int] = {}
    for found_by, cost in costs:
        name = found_by.partition(",")[0]
        best[name] = min(cost, best.get(name, cost))
    return tuple(best.items())
