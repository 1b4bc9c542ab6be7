"""The cheapest order of few vertices, exactly, in plain Python.

The graph after a set of vertices is eliminated does not depend on the order within the set, so that
the best orders of a set's subsets are all that is ever needed (Bellman's principle). The sets are
visited by A* (Hart, Nilsson and Raphael, 1968): the cheapest ones first, counting for what is still
to come the separator bound.
"""

from __future__ import annotations

import heapq

from gradgen.search.exact.reductions import has_earlier_twin, is_safe, part_of
from gradgen.search.exact.remainder import Remainder, members
from gradgen.search.exact.separators import vertex_bound


def search_subsets(state: Remainder, part: int) -> tuple[list[int], int]:
    """The cheapest order of the vertices in the set `part`, and its cost.

    `part` is a union of parts of the graph. The time grows with the number of its subsets; the
    graph is left as it was.
    """
    least = {v: vertex_bound(state, v) for v in members(part)}
    best = {0: 0}
    last: dict[int, int] = {}
    states = {0: state}
    queue = [(sum(least.values()), 0, 0)]
    closed: set[int] = set()
    while True:
        total, size, eliminated = heapq.heappop(queue)
        if eliminated in closed:
            continue
        if eliminated == part:
            return _steps(last, part), total
        closed.add(eliminated)
        if eliminated:
            current = states[eliminated ^ 1 << last[eliminated]].copy()
            current.eliminate(last[eliminated])
            states[eliminated] = current
        else:
            current = state
        for vertex in branches(current, part & ~eliminated):
            after = eliminated | 1 << vertex
            cost = best[eliminated] + current.cost(vertex)
            if cost < best.get(after, cost + 1):
                best[after] = cost
                last[after] = vertex
                estimate = total - best[eliminated] - least[vertex] + cost
                heapq.heappush(queue, (estimate, size - 1, after))


def branches(state: Remainder, left: int) -> list[int]:
    """With which vertices of a set an optimal order may begin, so that none cheaper is missed."""
    part = part_of(state, left & -left)
    for vertex in members(part):
        if is_safe(state, vertex):
            return [vertex]
    return [v for v in members(part) if not has_earlier_twin(state, v, part)]


def _steps(last: dict[int, int], eliminated: int) -> list[int]:
    steps = []
    while eliminated:
        steps.append(last[eliminated])
        eliminated ^= 1 << steps[-1]
    return steps[::-1]
