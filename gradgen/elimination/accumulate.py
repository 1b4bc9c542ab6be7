"""The one engine that turns a graph and an order into a plan."""

from __future__ import annotations

from collections.abc import Callable

from gradgen.elimination.accumulation import Accumulation
from gradgen.elimination.edge import as_edge_order, eliminate_edges
from gradgen.elimination.vertex import OrderMismatchError, eliminate_vertices, resolve
from gradgen.ir.graph import Elimination, LinearGraph, Order
from gradgen.ir.plan import Plan

__all__ = [
    "Accumulation",
    "OrderMismatchError",
    "accumulate",
    "as_edge_order",
    "resolve",
]

_RULES: dict[Elimination, Callable[[LinearGraph, Order], Plan]] = {
    "vertex": eliminate_vertices,
    "edge": eliminate_edges,
}


def accumulate(graph: LinearGraph, order: Order) -> Plan:
    """Eliminate vertices or edges in order; what is left is the Jacobian.

    Raises OrderMismatchError if the order is for another graph, leaves something to eliminate, or
    has a step that is not possible when its turn comes.
    """
    return _RULES[order.elimination](graph, order)
