"""Markowitz's rule with costs: always the vertex that is cheapest now."""

from __future__ import annotations

from collections.abc import Callable

from gradgen.elimination.joining import Vertex
from gradgen.search.arrays.states import Eliminations, Priced


def markowitz(eliminations: Eliminations, tie: Callable[[Vertex], int]) -> Priced | None:
    """The greedy order; `tie` decides among equal costs. None if it leads nowhere."""
    edges, remaining = eliminations.start, set(eliminations.intermediates)
    costs = {v: eliminations.cost(edges, v) for v in remaining}
    steps = []
    while remaining:
        allowed = [(cost, tie(v), v) for v, cost in costs.items() if cost is not None]
        if not allowed:
            return None
        _, _, vertex = min(allowed)
        changed = eliminations.changed(edges, vertex)
        edges = eliminations.without(edges, vertex)
        steps.append(vertex)
        remaining.discard(vertex)
        del costs[vertex]
        for other in remaining.intersection(changed):
            costs[other] = eliminations.cost(edges, other)
    return eliminations.priced(tuple(steps), "markowitz")
