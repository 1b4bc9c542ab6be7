"""The cheapest edge orders of tiny graphs, by best-first search over all of them."""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterator
from itertools import count

from gradgen.elimination.accumulation import Accumulation
from gradgen.ir.graph import LinearGraph, Order, PartialKind
from gradgen.ir.plan import ProductObjective
from gradgen.ir.steps import EdgeStep
from gradgen.search.steps.path_bound import bound_of


def cheapest_edges(graph: LinearGraph, objective: ProductObjective, *, limit: int) -> Order | None:
    """An edge order with the least cost, proved; None if it takes to visit more states than that.

    States are the edges with their kinds, since nothing else decides what is to come. The bound
    of disjoint paths, which is never more than what is still to pay, guides the search (A*: Hart,
    Nilsson and Raphael 1968).
    """

    def bound(state: Accumulation) -> int:
        kinds = state.edge_kinds()
        return bound_of(kinds, graph.intermediates, graph.independents, graph.dependents, objective)

    number = count()
    start = Accumulation(graph)
    waiting: list[tuple[int, int, int, Accumulation, tuple[str, ...]]] = [
        (bound(start), 0, next(number), start, ())
    ]
    reached = {_exchangeable(graph, start): 0}
    for _ in range(limit):
        expected, paid, _, state, steps = heapq.heappop(waiting)
        paid = -paid
        if reached[_exchangeable(graph, state)] < paid:
            continue
        done = True
        for step, cost, after in _moves(graph, state, objective):
            done = False
            spent, seen = paid + cost, _exchangeable(graph, after)
            if spent < reached.get(seen, spent + 1):
                reached[seen] = spent
                further = max(expected, spent + bound(after))
                # among equals the one that is further on
                heapq.heappush(waiting, (further, -spent, next(number), after, (*steps, step)))
        if done:
            return Order("edge", graph.fingerprint, steps, "exact search", proved_optimal=True)
    return None


def _moves(
    graph: LinearGraph, state: Accumulation, objective: ProductObjective
) -> Iterator[tuple[str, int, Accumulation]]:
    """Every step that is possible, with its cost and what it leaves."""
    names = [vertex.name for vertex in graph.vertices]
    for source, target in sorted(state.edge_kinds()):
        if state.is_intermediate(target):
            after, cost = state.fork(), len(state.successors(target))
            if objective == "muls":
                cost = state.front_cost(source, target)
            after.front(source, target)
            yield str(EdgeStep("front", names[source], names[target])), cost, after
        if state.is_intermediate(source):
            after, cost = state.fork(), len(state.predecessors(source))
            if objective == "muls":
                cost = state.back_cost(source, target)
            after.back(source, target)
            yield str(EdgeStep("back", names[source], names[target])), cost, after


def _exchangeable(graph: LinearGraph, state: Accumulation) -> Hashable:
    """The edges, whichever independent or dependent it is that has them.

    States that differ in nothing but the names of these have as far to go.
    """
    kinds = state.edge_kinds()
    into: dict[int, list[tuple[int, PartialKind]]] = {v: [] for v in graph.dependents}
    for (source, target), kind in sorted(kinds.items()):
        if target in into and source not in graph.independents:
            into[target].append((source, kind))
    renamed = {v: -1 - k for k, v in enumerate(sorted(into, key=lambda v: (into[v], v)))}
    out: dict[int, list[tuple[int, PartialKind]]] = {v: [] for v in graph.independents}
    inner = []
    for (source, target), kind in kinds.items():
        end = renamed.get(target, target)
        if source in out:
            out[source].append((end, kind))
        else:
            inner.append((source, end, kind))
    return frozenset(inner), tuple(sorted(tuple(sorted(edges)) for edges in out.values()))
