"""Markowitz's rule with prices: always the vertex that takes the fewest multiplications now."""

from __future__ import annotations

from collections.abc import Callable

from gradgen.elimination.array_edges import Vertex
from gradgen.search.arrays.states import Eliminations, Priced


def markowitz(eliminations: Eliminations, tie: Callable[[Vertex], int]) -> Priced | None:
    """The greedy order; `tie` decides among equal prices. None if it leads nowhere."""
    edges, remaining = eliminations.start, set(eliminations.intermediates)
    prices = {v: eliminations.price(edges, v) for v in remaining}
    steps, total = [], 0
    while remaining:
        allowed = [(price, tie(v), v) for v, price in prices.items() if price is not None]
        if not allowed:
            return None
        price, _, vertex = min(allowed)
        neighbours = edges.into[vertex].union(edges.out[vertex])
        edges = eliminations.without(edges, vertex)
        steps.append(vertex)
        total += price
        remaining.discard(vertex)
        del prices[vertex]
        for neighbour in neighbours & remaining:
            prices[neighbour] = eliminations.price(edges, neighbour)
    return Priced(tuple(steps), total, "markowitz")
