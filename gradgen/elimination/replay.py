"""An elimination step by step: which edges there are after each step of an order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gradgen.elimination.accumulation import Accumulation
from gradgen.elimination.array_graphs import ArrayGraph
from gradgen.elimination.arrays import ArrayAccumulation, Planning
from gradgen.elimination.edge import take_edge_step
from gradgen.elimination.vertex import resolve
from gradgen.ir.array_trace import Partial
from gradgen.ir.code import Const
from gradgen.ir.graph import LinearGraph, Order, PartialKind
from gradgen.ir.patterns import Pattern, arrow
from gradgen.ir.shapes import Sizes


@dataclass(frozen=True)
class Frame:
    """The graph after a step."""

    edges: tuple[tuple[int, int, PartialKind], ...]
    """(source, target, kind), sorted."""
    done: int
    """How many steps of the plan lie behind."""
    axes: tuple[str, ...] = ()
    """On arrays, for each edge which axes of its target hang on which of its source."""
    muls: int = 0
    """On arrays, the multiplications so far."""


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


def replay_arrays(
    graph: ArrayGraph, order: Order, sizes: Sizes, of_steps: Planning
) -> tuple[Frame, ...]:
    """The same of a graph of arrays; vertices go by their places."""
    state = ArrayAccumulation(graph, sizes, of_steps)
    number = {v: k for k, v in enumerate(graph.vertices)}
    constant = {
        (number[source], number[target])
        for source, target, terms in graph.edges
        if all(isinstance(x, Partial) and isinstance(x.atom, Const) for x in terms)
    }
    frames = [_array_frame(state, 0, constant)]
    for vertex in graph.steps(order):
        state.eliminate(vertex)
        constant = {pair for pair in constant if number[vertex] not in pair}
        frames.append(_array_frame(state, len(frames), constant))
    return tuple(frames)


def _array_frame(state: ArrayAccumulation, done: int, constant: set[tuple[int, int]]) -> Frame:
    found = sorted(state.edges().items())
    edges = tuple((*ends, _kind(terms, constant=ends in constant)) for ends, terms in found)
    axes = tuple("; ".join("a map" if p is None else arrow(p) for p in terms) for _, terms in found)
    return Frame(edges, done, axes, state.muls)


def _kind(terms: tuple[Pattern | None, ...], *, constant: bool) -> PartialKind:
    """The kind of an edge; a product of ones and masks may be either, and counts as a mask."""
    if all(pattern is not None and pattern.free for pattern in terms) and len(terms) == 1:
        return "unit" if constant else "mask"
    return "constant" if constant else "variable"
