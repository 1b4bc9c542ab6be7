"""The search for an order of any kind of elimination."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import get_args

from gradgen.elimination.cost import cost_of
from gradgen.ir.graph import Elimination, LinearGraph, Order
from gradgen.ir.plan import PlanObjective, ProductObjective
from gradgen.search import portfolio
from gradgen.search.portfolio import Progress, SearchResult
from gradgen.search.steps.anneal import search_edges
from gradgen.search.steps.exact import cheapest_edges
from gradgen.search.steps.path_bound import path_bound

ITERATIONS_PER_SECOND = 100_000
"""What a second of budget stands for, in sequences that annealing looks at."""
TINY = 8
"""Up to so many intermediates, all edge orders may be searched."""
STATES = 500
"""Of a tiny graph, so many states are visited before that is given up."""


def search(
    graph: LinearGraph,
    *,
    elimination: Elimination = "vertex",
    objective: PlanObjective = "muls",
    budget: float = 2.0,
    seed: int = 0,
    progress: Progress | None = None,
) -> SearchResult:
    """Look for a cheap order; never one worse than forward, reverse and both Markowitz orders.

    A cheap vertex order comes first; edges are searched from there. Half of the budget,
    in seconds, goes to each. The vertex order is returned where no other one is cheaper. Raises
    ValueError for an objective that the elimination has not.
    """
    if elimination == "vertex":
        return portfolio.search(
            graph, objective=objective, budget=budget, seed=seed, progress=progress
        )
    if objective not in ("edges", "muls"):
        known = " and ".join(get_args(ProductObjective))
        raise ValueError(f"{elimination} elimination is searched under {known} alone")
    begin = time.monotonic()
    first = portfolio.search(
        graph, objective=objective, budget=budget / 2, seed=seed, progress=progress
    )
    bound = path_bound(graph, objective)
    order = _best_by_edges(graph, objective, first, bound, budget, seed)
    cost = cost_of(graph, order, objective)
    exact = order.proved_optimal
    if cost == first.cost:
        order = first.order
    if progress is not None:
        progress(cost, cost if exact else bound, order.found_by)
    return SearchResult(
        order=replace(order, proved_optimal=exact or cost == bound),
        cost=cost,
        baselines=first.baselines,
        lower_bound=cost if exact else bound,
        proved=exact or cost == bound,
        found_by=order.found_by,
        bound_by="search over all edge orders" if exact else "disjoint paths",
        seconds=time.monotonic() - begin,
    )


def _best_by_edges(
    graph: LinearGraph,
    objective: ProductObjective,
    first: SearchResult,
    bound: int,
    budget: float,
    seed: int,
) -> Order:
    """The best edge order, marked as proved where all of them were searched."""
    tiny = len(graph.intermediates) <= TINY
    proved = cheapest_edges(graph, objective, limit=STATES) if tiny else None
    if proved is not None:
        return proved
    iterations = 0 if first.cost == bound else round(ITERATIONS_PER_SECOND * budget / 2)
    return search_edges(graph, objective, start=first.order, iterations=iterations, seed=seed)
