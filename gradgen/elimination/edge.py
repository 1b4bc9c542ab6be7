"""Edge elimination (Griewank and Walther, *Evaluating Derivatives*, section 9.3).

An edge is eliminated in front, at its target, or in the back, at its source. One that is gone can
come back as fill-in. It ends all the same: an eliminated edge is replaced by edges that span more
of the topological order, so no state comes twice.
"""

from __future__ import annotations

from dataclasses import replace

from gradgen.elimination.accumulation import Accumulation
from gradgen.elimination.vertex import OrderMismatchError, resolve
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import Plan
from gradgen.ir.steps import EdgeStep, parse_edge_step


def eliminate_edges(graph: LinearGraph, order: Order) -> Plan:
    """Eliminate edges in order, until no intermediate has one.

    Raises OrderMismatchError for a step that names an edge that is not there, or an end of it at
    which nothing can be eliminated, and for an order that leaves an intermediate.
    """
    elimination = Accumulation(graph)
    number = {vertex.name: v for v, vertex in enumerate(graph.vertices)}
    for text in order.steps:
        take_edge_step(elimination, number, text)
    remaining = elimination.remaining()
    if remaining:
        alias = graph.vertices[remaining[0]].alias
        raise OrderMismatchError(f"the order leaves edges of {alias!r}")
    return elimination.plan()


def take_edge_step(elimination: Accumulation, number: dict[str, int], text: str) -> None:
    """Take one step; raises OrderMismatchError if it is illegal now."""
    step = _parse(text)
    unknown = [name for name in (step.source, step.target) if name not in number]
    if unknown:
        raise OrderMismatchError(f"the order names {unknown[0]!r}, which is not in the graph")
    source, target = number[step.source], number[step.target]
    if not elimination.has(source, target):
        raise OrderMismatchError(f"there is no edge for the step {text!r} when its turn comes")
    if not elimination.is_intermediate(target if step.direction == "front" else source):
        raise OrderMismatchError(f"the step {text!r} is not at an intermediate")
    if step.direction == "front":
        elimination.front(source, target)
    else:
        elimination.back(source, target)


def as_edge_order(graph: LinearGraph, order: Order) -> Order:
    """A vertex order as an edge order with the same products; an edge order as it is.

    A vertex is eliminated by the front elimination of all edges that lead into it. Raises
    OrderMismatchError if the order is for another graph.
    """
    if order.elimination == "edge":
        return order
    elimination = Accumulation(graph)
    steps = []
    for vertex in resolve(graph, order):
        target = graph.vertices[vertex].name
        for source in sorted(elimination.predecessors(vertex)):
            steps.append(str(EdgeStep("front", graph.vertices[source].name, target)))
        elimination.eliminate(vertex)
    return replace(order, elimination="edge", steps=tuple(steps), proved_optimal=False)


def _parse(text: str) -> EdgeStep:
    try:
        return parse_edge_step(text)
    except ValueError as error:
        raise OrderMismatchError(str(error)) from None
