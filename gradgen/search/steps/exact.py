"""The cheapest edge and face orders of tiny graphs, by best-first search over all of them."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable, Iterator
from itertools import count
from typing import TypeVar

from gradgen.elimination.accumulation import Accumulation
from gradgen.elimination.face import LineGraph
from gradgen.ir.graph import Elimination, Kind, LinearGraph, Order
from gradgen.ir.plan import ProductObjective
from gradgen.ir.steps import EdgeStep
from gradgen.search.steps.path_bound import bound_of, path_bound

State = TypeVar("State")
"""A graph or a line graph under elimination."""

LIMIT = 50_000
"""How many states of a graph are visited before the search gives up."""


def cheapest_edges(
    graph: LinearGraph, objective: ProductObjective, *, limit: int = LIMIT
) -> Order | None:
    """An edge order with the least cost, proved; None if the limit is too low to find it.

    States are the edges with their kinds, since nothing else decides what is to come. The bound
    of disjoint paths guides the search (A*).
    """
    names = [vertex.name for vertex in graph.vertices]

    def key(state: Accumulation) -> Hashable:
        return _exchangeable(graph, state.edge_kinds())

    def bound(state: Accumulation) -> int:
        kinds = state.edge_kinds()
        return bound_of(kinds, graph.intermediates, graph.independents, graph.dependents, objective)

    def moves(state: Accumulation) -> Iterator[tuple[str, int, Accumulation]]:
        for source, target in sorted(state.edge_kinds()):
            if state.is_intermediate(target):
                after, cost = state.fork(), len(state.successors[target])
                if objective == "muls":
                    cost = state.front_cost(source, target)
                after.front(source, target)
                yield str(EdgeStep("front", names[source], names[target])), cost, after
            if state.is_intermediate(source):
                after, cost = state.fork(), len(state.predecessors[source])
                if objective == "muls":
                    cost = state.back_cost(source, target)
                after.back(source, target)
                yield str(EdgeStep("back", names[source], names[target])), cost, after

    steps = _search(Accumulation(graph), key, bound, moves, limit)
    return _order(graph, "edge", steps)


def cheapest_faces(
    graph: LinearGraph, objective: ProductObjective, *, limit: int = LIMIT
) -> Order | None:
    """A face order with the least cost, proved; None if the limit is too low to find it.

    States are the line graph with the kinds of its vertices.
    """
    least = path_bound(graph, objective)
    first = LineGraph(graph)

    def key(state: LineGraph) -> Hashable:
        return frozenset(
            (state.path[n], kind, frozenset(state.path.get(k, k) for k in state.successors[n]))
            for n, kind in state.vertex_kinds().items()
        )

    def bound(state: LineGraph) -> int:
        return least if state is first else 0

    def moves(state: LineGraph) -> Iterator[tuple[str, int, LineGraph]]:
        for face in state.faces():
            after = state.fork()
            after.eliminate(*face)
            cost = state.face_cost(*face) if objective == "muls" else 1
            yield state.name(*face), cost, after

    steps = _search(first, key, bound, moves, limit)
    return _order(graph, "face", steps)


def _exchangeable(graph: LinearGraph, kinds: dict[tuple[int, int], Kind]) -> Hashable:
    """The edges, whichever independent or dependent it is that has them.

    States that differ in nothing but the names of these have as far to go.
    """
    into: dict[int, list[tuple[int, Kind]]] = {v: [] for v in graph.dependents}
    for (source, target), kind in sorted(kinds.items()):
        if target in into and source not in graph.independents:
            into[target].append((source, kind))
    renamed = {v: -1 - k for k, v in enumerate(sorted(into, key=lambda v: (into[v], v)))}
    out: dict[int, list[tuple[int, Kind]]] = {v: [] for v in graph.independents}
    inner = []
    for (source, target), kind in kinds.items():
        end = renamed.get(target, target)
        if source in out:
            out[source].append((end, kind))
        else:
            inner.append((source, end, kind))
    return frozenset(inner), tuple(sorted(tuple(sorted(edges)) for edges in out.values()))


def _order(
    graph: LinearGraph, elimination: Elimination, steps: tuple[str, ...] | None
) -> Order | None:
    if steps is None:
        return None
    return Order(elimination, graph.fingerprint, steps, "exact search", proved_optimal=True)


def _search(
    start: State,
    key: Callable[[State], Hashable],
    bound: Callable[[State], int],
    moves: Callable[[State], Iterator[tuple[str, int, State]]],
    limit: int,
) -> tuple[str, ...] | None:
    """The steps of a cheapest way to a state without moves, if it is found within the limit.

    `bound` never says more than what is still to pay (Hart, Nilsson and Raphael 1968).
    """
    number = count()
    least = bound(start)
    waiting: list[tuple[int, int, int, State, tuple[str, ...]]] = [
        (least, 0, next(number), start, ())
    ]
    reached = {key(start): 0}
    for _ in range(limit):
        expected, paid, _, state, steps = heapq.heappop(waiting)
        paid = -paid
        if reached[key(state)] < paid:
            continue
        done = True
        for step, cost, after in moves(state):
            done = False
            spent, seen = paid + cost, key(after)
            if spent < reached.get(seen, spent + 1):
                reached[seen] = spent
                further = max(expected, spent + bound(after))
                # among equals the one that is further on
                heapq.heappush(waiting, (further, -spent, next(number), after, (*steps, step)))
        if done:
            return steps
    return None
