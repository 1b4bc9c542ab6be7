"""Vertex elimination (Griewank and Walther, *Evaluating Derivatives*, section 9.2)."""

from __future__ import annotations

from gradgen.elimination.accumulation import Accumulation
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import Plan


class OrderMismatchError(ValueError):
    """An order that belongs to another graph, or does not lead to the Jacobian."""


def eliminate_vertices(graph: LinearGraph, order: Order) -> Plan:
    """Eliminate the vertices in order.

    Raises OrderMismatchError unless the order names each intermediate exactly once.
    """
    elimination = Accumulation(graph)
    for vertex in resolve(graph, order):
        elimination.eliminate(vertex)
    return elimination.plan()


def resolve(graph: LinearGraph, order: Order) -> tuple[int, ...]:
    """A vertex order's vertices by number; raises OrderMismatchError if it is for another graph."""
    number = {vertex.name: v for v, vertex in enumerate(graph.vertices)}
    unknown = [name for name in order.steps if name not in number]
    if unknown:
        raise OrderMismatchError(f"the order names {unknown[0]!r}, which is not in the graph")
    steps = tuple(number[name] for name in order.steps)
    if sorted(steps) != sorted(graph.intermediates):
        missing = set(graph.intermediates) - set(steps)
        what = (
            f"leaves out {graph.vertices[min(missing)].alias!r}"
            if missing
            else "eliminates a vertex that is no intermediate"
        )
        raise OrderMismatchError(f"the order {what}")
    return steps
