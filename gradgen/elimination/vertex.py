"""Vertex elimination (Griewank and Walther, *Evaluating Derivatives*, section 9.2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from gradgen.elimination.accumulation import Accumulation
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import Plan

V = TypeVar("V")


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
    vertices = enumerate(graph.vertices)
    called = {v: (vertex.name, vertex.alias) for v, vertex in vertices}
    return named(order.steps, called, graph.intermediates)


def named(
    steps: Sequence[str], called: Mapping[V, tuple[str, str]], intermediates: Sequence[V]
) -> tuple[V, ...]:
    """The vertices that steps name; `called` has their names, and what people call them.

    Raises OrderMismatchError unless the steps name each intermediate exactly once.
    """
    by_name = {name: v for v, (name, _) in called.items()}
    unknown = [name for name in steps if name not in by_name]
    if unknown:
        raise OrderMismatchError(f"the order names {unknown[0]!r}, which is not in the graph")
    found = tuple(by_name[name] for name in steps)
    if len(found) != len(intermediates) or {*found} != {*intermediates}:
        missing = [v for v in intermediates if v not in found]
        what = (
            f"leaves out {called[missing[0]][1]!r}"
            if missing
            else "eliminates a vertex that is no intermediate"
        )
        raise OrderMismatchError(f"the order {what}")
    return found
