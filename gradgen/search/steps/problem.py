"""Items that stand for an order, and a graph as arrays for compiled search over items."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradgen.elimination.accumulate import resolve
from gradgen.elimination.accumulation import Accumulation
from gradgen.elimination.face import LineGraph
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import ProductObjective
from gradgen.ir.steps import EdgeStep, parse_edge_step, parse_face_step
from gradgen.search.compact import CODED, COSTS, PRODUCT, SUM, compact
from gradgen.search.steps.items import ALL, BACK, FACE, FIRST, FRONT, LAST, TIE_BITS, VERTEX

Item = tuple[int, int, int, int, int]
"""As `gradgen.search.steps.items` says."""


@dataclass(frozen=True)
class Arrays:
    """A graph as the compiled search takes it, with room to work in."""

    graph: tuple[Any, ...]
    """As `gradgen.search.steps.anneal_kernels.run` unpacks it."""

    @staticmethod
    def of(graph: LinearGraph, objective: ProductObjective, products: int) -> Arrays:
        """The arrays of a graph, of which an order is known that takes so many products."""
        kinds = compact(graph).kinds
        inner = np.zeros(len(graph.vertices), np.bool_)
        inner[list(graph.intermediates)] = True
        costs = COSTS if objective == "muls" else np.ones_like(COSTS)
        packed = costs.astype(np.int32) * (1 << TIE_BITS) + (PRODUCT > 0)
        tables = np.stack([PRODUCT, SUM, packed]).astype(np.int32)
        room = len(graph.edges) + 2 * products + 64
        words = -(-room // 64)
        line = (
            np.zeros((room, 3), np.int32),
            np.zeros((room, words), np.uint64),
            np.zeros((room, words), np.uint64),
            np.zeros((len(graph.vertices),) * 2, np.int32),
            np.zeros(room, np.int32),
            np.zeros((room, 2), np.int32),
        )
        stack = np.zeros(16 * room, np.int32)
        first = _line_arrays(graph, words)
        return Arrays((kinds, kinds.copy(), line, first, inner, tables, stack))

    def faces(self, items: NDArray[np.int32]) -> list[tuple[int, int]]:
        """The faces that items eliminate, by the numbers of their line-graph vertices."""
        from gradgen.search.steps.anneal_kernels import run

        run(True, self.graph, items, len(items), np.zeros(len(items), np.bool_))
        log = self.graph[2][5]
        return [(int(left), int(right)) for left, right in log[1 : log[0, 0] + 1]]


def _line_arrays(graph: LinearGraph, words: int) -> tuple[NDArray[Any], ...]:
    """The line graph as `gradgen.search.steps.face_kernels` has it; each pair has one edge."""
    edges = graph.edges
    codes = {kind: code for code, kind in enumerate(CODED, start=1)}
    ends = np.array([(e.source, e.target, codes[e.kind]) for e in edges], np.int32)
    before, after = (np.zeros((len(edges), words), np.uint64) for _ in range(2))
    head = np.full((len(graph.vertices),) * 2, -1, np.int32)
    for left, edge in enumerate(edges):
        head[edge.source, edge.target] = left
        for right, other in enumerate(edges):
            if edge.target == other.source:
                after[left, right // 64] |= np.uint64(1 << right % 64)
                before[right, left // 64] |= np.uint64(1 << left % 64)
    return ends, before, after, head, np.full(len(edges), -1, np.int32)


def items_of(graph: LinearGraph, order: Order) -> list[Item]:
    """An order as items, all vertices among them.

    A face between edges that are neither the first nor the last between their vertices has no item
    of its own, so the items of a face order may stand for another order than this.
    """
    if order.elimination == "vertex":
        return [_vertex(v) for v in resolve(graph, order)]
    number = {vertex.name: v for v, vertex in enumerate(graph.vertices)}
    found: list[Item] = []
    if order.elimination == "edge":
        for step in map(parse_edge_step, order.steps):
            what = FRONT if step.direction == "front" else BACK
            found.append((what, number[step.source], number[step.target], 0, 0))
    else:
        state = LineGraph(graph)
        for face in map(parse_face_step, order.steps):
            left, right = (state.by_path[path] for path in face)
            (a, b), (_, c) = state.ends[left], state.ends[right]
            beside = [
                (i, j)
                for i in state.between(a, b)
                for j in state.between(b, c)
                if j in state.successors[i]
            ]
            which = ALL if len(beside) == 1 else FIRST if beside[0] == (left, right) else LAST
            found.append((FACE, a, b, c, which))
            state.eliminate(left, right)
    return found + [_vertex(v) for v in graph.intermediates]


def _vertex(v: int) -> Item:
    return VERTEX, v, 0, 0, 0


def edge_steps(graph: LinearGraph, items: NDArray[np.int32]) -> tuple[str, ...]:
    """Take the items' steps where they are possible, and name them."""
    state = Accumulation(graph)
    names = [vertex.name for vertex in graph.vertices]
    steps = []
    for what, a, b in items[:, :3].tolist():
        if what == VERTEX:
            sources = sorted(state.predecessors[a])
            steps += [str(EdgeStep("front", names[source], names[a])) for source in sources]
            state.eliminate(a)
        elif what == FRONT and state.has(a, b) and state.is_intermediate(b):
            steps.append(str(EdgeStep("front", names[a], names[b])))
            state.front(a, b)
        elif what == BACK and state.has(a, b) and state.is_intermediate(a):
            steps.append(str(EdgeStep("back", names[a], names[b])))
            state.back(a, b)
    return tuple(steps)


def face_steps(graph: LinearGraph, faces: Iterable[tuple[int, int]]) -> tuple[str, ...]:
    """Take the faces by number, and name them."""
    state = LineGraph(graph)
    steps = []
    for face in faces:
        steps.append(state.name(*face))
        state.eliminate(*face)
    return tuple(steps)
