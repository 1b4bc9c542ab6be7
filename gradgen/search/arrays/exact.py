"""Exact search over sets of eliminated vertices: cheapest first (Dijkstra, 1959).

What is left of a graph depends on which vertices are eliminated and not on their order, so that a
set is looked at once, by the cheapest way to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heappop, heappush

from gradgen.elimination.array_edges import Edges, Vertex
from gradgen.search.arrays.states import Code, Eliminations, Priced

_Set = int
"""Of vertices, a bit for each."""


@dataclass(frozen=True)
class _Left:
    """What is left of a graph, and what each step from there takes."""

    edges: Edges[Code]
    prices: Mapping[Vertex, int | None]
    steps: tuple[Vertex, ...]


def proved(eliminations: Eliminations, best: Priced, work: int) -> tuple[Priced, bool]:
    """The cheapest order, and whether that is proved: not where the work did not suffice.

    `best` is one that is known.
    """
    prices = {v: eliminations.price(eliminations.start, v) for v in eliminations.intermediates}
    waiting: list[tuple[int, int, _Set, Vertex]] = []
    known = {0: _Left(eliminations.start, prices, ())}
    cheapest: dict[_Set, int] = {0: 0}
    everything = sum(1 << v for v in eliminations.intermediates)
    end = eliminations.work + work
    price, chosen, left = 0, 0, known[0]
    while chosen != everything:
        for vertex, step in left.prices.items():
            after = chosen | 1 << vertex
            if step is None or price + step >= min(best.price, cheapest.get(after, best.price)):
                continue
            cheapest[after] = price + step
            # of equal prices what is nearer to the end first
            heappush(waiting, (price + step, -after.bit_count(), after, vertex))
        while waiting and cheapest[waiting[0][2]] < waiting[0][0]:
            heappop(waiting)
        if not waiting:
            return best, True
        if eliminations.work > end:
            return best, False
        price, _, chosen, vertex = heappop(waiting)
        left = known[chosen] = _after(eliminations, known[chosen ^ 1 << vertex], vertex)
    return (Priced(left.steps, price, "exact search") if price < best.price else best), True


def _after(eliminations: Eliminations, left: _Left, vertex: Vertex) -> _Left:
    """What is left after one more step; prices change for its neighbours alone."""
    edges = eliminations.without(left.edges, vertex)
    prices = {v: price for v, price in left.prices.items() if v != vertex}
    for neighbour in left.edges.into[vertex].union(left.edges.out[vertex]):
        if neighbour in prices:
            prices[neighbour] = eliminations.price(edges, neighbour)
    return _Left(edges, prices, (*left.steps, vertex))
