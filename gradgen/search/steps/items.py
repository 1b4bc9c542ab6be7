"""Sequences of items that stand for elimination orders of vertices and edges.

An item is three numbers, `[kind, a, b]`:

- `[VERTEX, v, 0]` eliminates all that passes through v;
- `[FRONT, a, b]` and `[BACK, a, b]` eliminate the edge from a to b at that end.

Whatever an item names that is not there is skipped, so every sequence that names all vertices is
complete, and moving, adding and removing items always gives another order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradgen.elimination.accumulate import resolve
from gradgen.elimination.accumulation import Accumulation
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.steps import EdgeStep

VERTEX, FRONT, BACK = 0, 1, 2
WIDTH = 3
"""Numbers in an item."""

TIE_BITS = 20
"""A packed cost is the cost of the objective times two to this, plus all products and sums."""


def items_of(graph: LinearGraph, order: Order) -> NDArray[np.int32]:
    """A vertex order as items."""
    return np.array([(VERTEX, v, 0) for v in resolve(graph, order)], np.int32)


def edge_steps(graph: LinearGraph, items: NDArray[np.int32]) -> tuple[str, ...]:
    """Take the items' steps where they are possible, and name them."""
    state = Accumulation(graph)
    names = [vertex.name for vertex in graph.vertices]
    steps = []
    for what, a, b in items.tolist():
        if what == VERTEX:
            for source in sorted(state.predecessors(a)):
                steps.append(str(EdgeStep("front", names[source], names[a])))
                state.front(source, a)
        elif what == FRONT and state.has(a, b) and state.is_intermediate(b):
            steps.append(str(EdgeStep("front", names[a], names[b])))
            state.front(a, b)
        elif what == BACK and state.has(a, b) and state.is_intermediate(a):
            steps.append(str(EdgeStep("back", names[a], names[b])))
            state.back(a, b)
    return tuple(steps)
