"""Annealing over edge and face orders, from the best order that is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from gradgen.elimination.accumulate import accumulate, as_edge_order, as_face_order
from gradgen.elimination.cost import plan_costs
from gradgen.ir.graph import Elimination, LinearGraph, Order
from gradgen.ir.plan import ProductObjective
from gradgen.search.steps.items import WIDTH
from gradgen.search.steps.problem import Arrays, Item, edge_steps, face_steps, items_of

ITERATIONS = 200_000
ROUND = 200
"""Iterations in a round of annealing, for each vertex or step to place: many short rounds find more
than a long one."""
HOT, COLD = 0.7, 0.2
"""The first and last temperature of a round, in products."""
SPARE_STEPS = 64
"""How many steps a sequence may have beside its vertices and those of the order it starts from."""


def search_steps(
    graph: LinearGraph,
    elimination: Elimination,
    objective: ProductObjective,
    *,
    start: Order,
    iterations: int = ITERATIONS,
    seed: int = 0,
) -> Order:
    """An order of some kind that costs no more than `start`, found by annealing.

    `start` is of the same kind, or of one before it: vertex, edge, face. Vertex orders are searched
    as the others are, but no other steps join the vertices. Among orders of the same cost it has
    the fewest products and sums that were found. The result is the same for the same seed.
    Raises OrderMismatchError if `start` is for another graph.
    """
    known = _EMBEDDINGS[elimination](graph, start)
    if not graph.intermediates:
        return known
    arrays = Arrays.of(graph, objective, accumulate(graph, known).edges)
    faces, spare = elimination == "face", 0 if elimination == "vertex" else SPARE_STEPS
    items = _anneal_in_rounds(arrays, faces, items_of(graph, start), spare, iterations, seed)
    if elimination == "vertex":
        steps = tuple(graph.vertices[v].name for v in items[:, 1])
    elif elimination == "edge":
        steps = edge_steps(graph, items)
    else:
        steps = face_steps(graph, arrays.faces(items))
    found = Order(elimination, graph.fingerprint, steps, f"{elimination} annealing")
    return min(known, found, key=lambda o: plan_costs(accumulate(graph, o)).ranked(objective))


_EMBEDDINGS: dict[Elimination, Callable[[LinearGraph, Order], Order]] = {
    "vertex": lambda _, order: order,
    "edge": as_edge_order,
    "face": as_face_order,
}


def _anneal_in_rounds(
    arrays: Arrays,
    faces: bool,
    start: Sequence[Item],
    spare: int,
    iterations: int,
    seed: int,
) -> NDArray[np.int32]:
    """The best items found in rounds that begin at the start and, in turn, at the best so far."""
    from gradgen.search.steps.anneal_kernels import anneal

    room = len(start) + spare
    length = ROUND * max(1, len(start))
    best, least = np.array(start, np.int32).reshape(-1, WIDTH), None
    for number, done in enumerate(range(0, iterations, length)):
        items = np.zeros((room, WIDTH), np.int32)
        origin = best if number % 2 else np.array(start, np.int32).reshape(-1, WIDTH)
        items[: len(origin)] = origin
        steps = min(length, iterations - done)
        state = (seed << 20) + number
        kept, cost = anneal(faces, arrays.graph, items, len(origin), steps, HOT, COLD, state)
        if least is None or cost < least:
            best, least = items[:kept].copy(), cost
    return best
