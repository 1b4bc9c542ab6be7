"""An elimination step by step: which edges there are after each step of an order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradgen.elimination.accumulation import Accumulation
from gradgen.elimination.edge import take_edge_step
from gradgen.elimination.vertex import resolve
from gradgen.ir.graph import LinearGraph, Order, PartialKind


@dataclass(frozen=True)
class Frame:
    """The graph after a step."""

    edges: tuple[tuple[int, int, PartialKind], ...]
    """(source, target, kind), sorted."""
    done: int
    """How many steps of the plan lie behind."""


def replay(graph: LinearGraph, order: Order) -> tuple[Frame, ...]:
    """The graph as it is, then after each step of an order.

    Raises OrderMismatchError if the order is for another graph.
    """
    return tuple(_frames(graph, order))


def _frames(graph: LinearGraph, order: Order) -> Iterator[Frame]:
    state = Accumulation(graph)
    yield _frame(state)
    if order.elimination == "vertex":
        for vertex in resolve(graph, order):
            state.eliminate(vertex)
            yield _frame(state)
        return
    number = {vertex.name: v for v, vertex in enumerate(graph.vertices)}
    for step in order.steps:
        take_edge_step(state, number, step)
        yield _frame(state)


def _frame(state: Accumulation) -> Frame:
    edges = ((*ends, kind) for ends, kind in state.edge_kinds().items())
    return Frame(tuple(sorted(edges)), state.taken)
