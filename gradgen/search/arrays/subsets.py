"""Exact search over sets of eliminated vertices: cheapest first.

What is left of a graph depends on which vertices are eliminated and not on their order, and so does
what is held. So it is enough to know, for each set, the cheapest way to it (Dijkstra, 1959); with
several objectives all ways that none beats in everything (Martins, *On a multicriteria shortest
path problem*, 1984). Neither a sum nor a peak is less for a step more, and what beats another way
to a set beats it with the same steps to come.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush

from gradgen.elimination.joining import Edges, Vertex
from gradgen.search.arrays.fronts import ParetoFront, beats
from gradgen.search.arrays.states import Code, Cost, Eliminations, Priced, Steps, added

_Set = int
"""Of vertices, a bit for each."""


@dataclass(frozen=True)
class _Left:
    """What is left of a graph, and what each step from there takes."""

    edges: Edges[Code]
    costs: Mapping[Vertex, Cost | None]


@dataclass(frozen=True)
class _Way:
    """A way to a set: the vertex that it ends with, and the way before."""

    costs: Cost
    vertex: Vertex = -1
    before: _Way | None = None

    @property
    def steps(self) -> Steps:
        """All of its vertices."""
        return () if self.before is None else (*self.before.steps, self.vertex)


def proved(
    eliminations: Eliminations, known: Iterable[Priced], work: int
) -> tuple[list[Priced], bool]:
    """The orders that none beats in all objectives, and whether that is proved: not where the work
    did not suffice. `known` are one or more, which are kept where nothing is better."""
    front = ParetoFront(known)
    least = eliminations.least(front.orders[0].steps)
    costs = {v: eliminations.cost(eliminations.start, v) for v in eliminations.intermediates}
    left = {0: _Left(eliminations.start, costs)}
    ways: dict[_Set, list[Cost]] = {}
    waiting: list[tuple[Cost, int, _Set, Vertex, int]] = []
    made: list[_Way] = []
    everything = sum(1 << v for v in eliminations.intermediates)
    end = eliminations.work + work
    chosen, way = 0, _Way(least)
    while True:
        here = left[chosen]
        held = eliminations.held(here.edges)
        for vertex, cost in here.costs.items():
            after = chosen | 1 << vertex
            if cost is None:
                continue
            total = eliminations.total((way.costs, added(held, cost)))
            rivals = ways.get(after, [])
            if not front.allows(total) or any(beats(rival, total) for rival in rivals):
                continue
            ways[after] = [*(r for r in rivals if not beats(total, r)), total]
            # of equal costs what is nearer to the end first
            heappush(waiting, (total, -after.bit_count(), after, vertex, len(made)))
            made.append(_Way(total, vertex, way))
        while True:
            while waiting and not _is_open(waiting[0], ways, front):
                heappop(waiting)
            if not waiting:
                return front.orders, True
            if eliminations.work > end:
                return front.orders, False
            _, _, chosen, vertex, number = heappop(waiting)
            way = made[number]
            if chosen not in left:
                left[chosen] = _after(eliminations, left[chosen ^ 1 << vertex], vertex)
            if chosen != everything:
                break
            front.add(Priced(way.steps, way.costs, "exact search"))


def _is_open(
    entry: tuple[Cost, int, _Set, Vertex, int], ways: Mapping[_Set, list[Cost]], front: ParetoFront
) -> bool:
    """Whether a way is still one that nothing beats."""
    total, _, chosen, _, _ = entry
    return total in ways[chosen] and front.allows(total)


def _after(eliminations: Eliminations, left: _Left, vertex: Vertex) -> _Left:
    """What is left after one more step."""
    edges = eliminations.without(left.edges, vertex)
    costs = {v: cost for v, cost in left.costs.items() if v != vertex}
    for other in eliminations.changed(left.edges, vertex):
        if other in costs:
            costs[other] = eliminations.cost(edges, other)
    return _Left(edges, costs)
