"""The orders that need no search: forward, reverse and Markowitz."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from gradgen.elimination.accumulate import Accumulation
from gradgen.ir.graph import LinearGraph, Order


def vertex_order(
    graph: LinearGraph, steps: Iterable[int], found_by: str, *, proved_optimal: bool = False
) -> Order:
    """The order that eliminates these vertices, given by number, one after the other."""
    names = tuple(graph.vertices[v].name for v in steps)
    return Order("vertex", graph.fingerprint, names, found_by, proved_optimal)


def forward(graph: LinearGraph) -> Order:
    """Intermediates in topological order: forward mode's accumulation."""
    return vertex_order(graph, graph.intermediates, "forward")


def reverse(graph: LinearGraph) -> Order:
    """Intermediates in reverse topological order: backpropagation."""
    return vertex_order(graph, reversed(graph.intermediates), "reverse")


def markowitz(graph: LinearGraph, *, latest: bool = False) -> Order:
    """Always the vertex that is cheapest to eliminate now (Griewank and Walther, section 9.2).

    Its Markowitz degree is counted under `muls`, so that it is the number of multiplications the
    elimination takes. Ties go to the earliest vertex, or to the latest.
    """
    accumulation = Accumulation(graph)
    remaining = set(graph.intermediates)
    degree = {v: accumulation.cost(v) for v in remaining}
    sign = -1 if latest else 1
    steps = []
    while remaining:
        vertex = min(remaining, key=lambda v: (degree[v], sign * v))
        neighbours = accumulation.predecessors(vertex) | accumulation.successors(vertex)
        accumulation.eliminate(vertex)
        remaining.discard(vertex)
        for neighbour in neighbours & remaining:
            degree[neighbour] = accumulation.cost(neighbour)
        steps.append(vertex)
    found_by = "markowitz, ties to the latest" if latest else "markowitz, ties to the earliest"
    return vertex_order(graph, steps, found_by)


HEURISTICS: dict[str, tuple[Callable[[LinearGraph], Order], ...]] = {
    "forward": (forward,),
    "reverse": (reverse,),
    "markowitz": (markowitz, lambda graph: markowitz(graph, latest=True)),
}
"""The heuristics by the names of the command line."""


def propose(graph: LinearGraph, names: Iterable[str] = tuple(HEURISTICS)) -> tuple[Order, ...]:
    """The orders of the named heuristics."""
    return tuple(heuristic(graph) for name in names for heuristic in HEURISTICS[name])
