"""Annealing over edge orders, from the best order that is known."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradgen.elimination.accumulate import accumulate, as_edge_order
from gradgen.elimination.cost import plan_costs
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import ProductObjective
from gradgen.search.compact import COSTS, PRODUCT, SUM, compact
from gradgen.search.steps.items import TIE_BITS, WIDTH, edge_steps, items_of

ITERATIONS = 200_000
ROUND = 200
"""Iterations in a round of annealing, for each vertex or step to place: many short rounds find more
than a long one."""
HOT, COLD = 0.7, 0.2
"""The first and last temperature of a round, in products."""
SPARE_STEPS = 64
"""How many steps a sequence may have beside its vertices and those of the order it starts from."""


def search_edges(
    graph: LinearGraph,
    objective: ProductObjective,
    *,
    start: Order,
    iterations: int = ITERATIONS,
    seed: int = 0,
) -> Order:
    """An edge order that costs no more than the vertex order `start`, found by annealing.

    Among orders of the same cost it has the fewest products and sums that were found. The result is
    the same for the same seed. Raises OrderMismatchError if `start` is for another graph.
    """
    known = as_edge_order(graph, start)
    if not graph.intermediates:
        return known
    items = _anneal_in_rounds(graph, objective, items_of(graph, start), iterations, seed)
    found = Order("edge", graph.fingerprint, edge_steps(graph, items), "edge annealing")
    return min(known, found, key=lambda o: plan_costs(accumulate(graph, o)).ranked(objective))


def _anneal_in_rounds(
    graph: LinearGraph,
    objective: ProductObjective,
    start: NDArray[np.int32],
    iterations: int,
    seed: int,
) -> NDArray[np.int32]:
    """The best items found in rounds that begin at the start and, in turn, at the best so far."""
    from gradgen.search.steps.anneal_kernels import anneal

    inner = np.zeros(len(graph.vertices), np.bool_)
    inner[list(graph.intermediates)] = True
    arrays = compact(graph).kinds, inner, tables(objective)
    room = len(start) + SPARE_STEPS
    length = ROUND * max(1, len(start))
    best, least = start, None
    for number, done in enumerate(range(0, iterations, length)):
        items = np.zeros((room, WIDTH), np.int32)
        origin = best if number % 2 else start
        items[: len(origin)] = origin
        steps = min(length, iterations - done)
        state = (seed << 20) + number
        kept, cost = anneal(*arrays, items, len(origin), steps, HOT, COLD, state)
        if least is None or cost < least:
            best, least = items[:kept].copy(), cost
    return best


def tables(objective: ProductObjective) -> NDArray[np.int32]:
    """What codes of kinds combine to and cost, as `gradgen.search.steps.edge_kernels` has it."""
    costs = COSTS if objective == "muls" else np.ones_like(COSTS)
    packed = costs.astype(np.int32) * (1 << TIE_BITS) + (PRODUCT > 0)
    return np.stack([PRODUCT, SUM, packed]).astype(np.int32)
