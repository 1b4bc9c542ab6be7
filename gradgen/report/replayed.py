"""The replay of an order in words: what each step removes, multiplies and leaves."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import pairwise

from gradgen.elimination.contractions import Contraction, contractions
from gradgen.elimination.replay import Frame, replay
from gradgen.ir.graph import LinearGraph, Order, PartialKind
from gradgen.ir.module import Accumulated
from gradgen.ir.steps import parse_edge_step
from gradgen.report.array_view import EliminatedGraph
from gradgen.report.model_report import EdgeSpan, Eliminated, EliminationReplay
from gradgen.report.view import GraphView

_Edge = tuple[int, int, PartialKind]


def replayed(graph: LinearGraph, view: GraphView, found: Accumulated) -> EliminationReplay:
    """The elimination that an accumulation carries out."""
    frames = replay(graph, found.order)
    products = contractions(found.plan)
    steps = [c.step for c in products]
    bounds = [bisect_left(steps, frame.done) for frame in frames]
    by_frame = [products[begin:end] for begin, end in pairwise(bounds)]
    names = {vertex.name: view.vertices[v].name for v, vertex in enumerate(graph.vertices)}
    labels = [_label(found.order, step, names) for step in found.order.steps]
    muls = [sum(not c.free for c in done) for done in by_frame]
    return _replay(view, found.order, labels, frames, by_frame, muls)


def replayed_arrays(found: EliminatedGraph, view: GraphView) -> EliminationReplay:
    """The elimination on a graph of arrays, whose multiplications are those of all elements."""
    frames, order = found.frames, found.plan.order
    number = {v: k for k, v in enumerate(found.graph.vertices)}
    steps = [number[v] for v in found.graph.steps(order)]
    by_frame = [over(vertex, frame) for vertex, frame in zip(steps, frames, strict=False)]
    labels = [view.vertices[v].name for v in steps]
    muls = [after.muls - before.muls for before, after in pairwise(frames)]
    return _replay(view, order, labels, frames, by_frame, muls)


def over(vertex: int, frame: Frame) -> list[Contraction]:
    """The products over a vertex, one for each edge into it and out of it."""
    into = [source for source, target, _ in frame.edges if target == vertex]
    out = [target for source, target, _ in frame.edges if source == vertex]
    return [Contraction(s, vertex, t, frame.done, False) for t in out for s in into]


def _replay(
    view: GraphView,
    order: Order,
    labels: Sequence[str],
    frames: Sequence[Frame],
    products: Sequence[Sequence[Contraction]],
    muls: Sequence[int],
) -> EliminationReplay:
    inner = {v for v, vertex in enumerate(view.vertices) if vertex.role == "intermediate"}
    steps = []
    for number, (label, done) in enumerate(zip(labels, products, strict=True)):
        gone = _joined(frames[number]) - _joined(frames[number + 1])
        steps.append(
            Eliminated(
                label=label,
                gone=tuple(sorted(gone & inner)),
                products=tuple(product_text(view, c) for c in done),
                muls=muls[number],
                total=sum(muls[: number + 1]),
            )
        )
    return EliminationReplay(
        elimination=order.elimination,
        found_by=order.found_by,
        proved_optimal=order.proved_optimal,
        steps=tuple(steps),
        spans=_spans(view, frames, products),
    )


def product_text(view: GraphView, product: Contraction) -> str:
    """`∂z/∂v += ∂z/∂h · ∂h/∂v`."""
    whole = view.derivative(product.source, product.target)
    outer = view.derivative(product.middle, product.target)
    return f"{whole} += {outer} · {view.derivative(product.source, product.middle)}"


def _joined(frame: Frame) -> set[int]:
    return {v for source, target, _ in frame.edges for v in (source, target)}


def _label(order: Order, step: str, names: dict[str, str]) -> str:
    if order.elimination == "vertex":
        return names[step]
    edge = parse_edge_step(step)
    return f"{edge.direction} {names[edge.source]} → {names[edge.target]}"


def _spans(
    view: GraphView, frames: Sequence[Frame], products: Sequence[Sequence[Contraction]]
) -> tuple[EdgeSpan, ...]:
    """The edges of all frames, anew wherever a product was added to one."""
    original = {(edge.source, edge.target): edge.partial for edge in view.edges}
    spans: list[EdgeSpan] = []
    axes = [
        dict(zip(((s, t) for s, t, _ in frame.edges), frame.axes, strict=False)) for frame in frames
    ]
    open_spans: dict[_Edge, tuple[int, str]] = {
        edge: (0, original[edge[0], edge[1]]) for edge in frames[0].edges
    }
    for number, frame in enumerate(frames[1:], start=1):
        present = set(frame.edges)
        written = _written(view, products[number - 1])
        for edge in sorted(open_spans):
            if edge not in present or (edge[0], edge[1]) in written:
                first, value = open_spans.pop(edge)
                seen = axes[first].get((edge[0], edge[1]), "")
                spans.append(EdgeSpan(*edge, first, number - 1, value, seen))
        before = {(source, target) for source, target, _ in frames[number - 1].edges}
        for edge in sorted(present - open_spans.keys()):
            ends = edge[0], edge[1]
            added = " + ".join(written.get(ends, ()))
            sum_of = ["the value before", added] if ends in before else [added]
            open_spans[edge] = number, " + ".join(part for part in sum_of if part)
    last = len(frames) - 1
    for edge, (first, value) in open_spans.items():
        seen = axes[first].get((edge[0], edge[1]), "")
        spans.append(EdgeSpan(*edge, first, last, value, seen))
    return tuple(sorted(spans, key=lambda s: (s.first, s.source, s.target, s.kind)))


def _written(view: GraphView, products: Sequence[Contraction]) -> dict[tuple[int, int], list[str]]:
    written: dict[tuple[int, int], list[str]] = {}
    for product in products:
        factors = product_text(view, product).partition(" += ")[2]
        written.setdefault((product.source, product.target), []).append(factors)
    return written
