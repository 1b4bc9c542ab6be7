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
from gradgen.report.model_report import EdgeSpan, Eliminated, Replay
from gradgen.report.view import GraphView

_Edge = tuple[int, int, PartialKind]


def replayed(graph: LinearGraph, view: GraphView, found: Accumulated) -> Replay:
    """The elimination that an accumulation carries out."""
    frames = replay(graph, found.order)
    products = contractions(found.plan)
    steps = [c.step for c in products]
    bounds = [bisect_left(steps, frame.done) for frame in frames]
    by_frame = [products[begin:end] for begin, end in pairwise(bounds)]
    return Replay(
        elimination=found.order.elimination,
        found_by=found.order.found_by,
        proved_optimal=found.order.proved_optimal,
        steps=_steps(graph, view, found.order, frames, by_frame),
        spans=_spans(view, frames, by_frame),
    )


def _steps(
    graph: LinearGraph,
    view: GraphView,
    order: Order,
    frames: Sequence[Frame],
    products: Sequence[Sequence[Contraction]],
) -> tuple[Eliminated, ...]:
    names = {vertex.name: view.vertices[v].name for v, vertex in enumerate(graph.vertices)}
    steps = []
    total = 0
    for number, done in enumerate(products):
        muls = sum(not c.free for c in done)
        total += muls
        gone = _joined(frames[number]) - _joined(frames[number + 1])
        steps.append(
            Eliminated(
                label=_label(order, order.steps[number], names),
                gone=tuple(sorted(gone.intersection(graph.intermediates))),
                products=tuple(product_text(view, c) for c in done),
                muls=muls,
                total=total,
            )
        )
    return tuple(steps)


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
    open_spans: dict[_Edge, tuple[int, str]] = {
        edge: (0, original[edge[0], edge[1]]) for edge in frames[0].edges
    }
    for number, frame in enumerate(frames[1:], start=1):
        present = set(frame.edges)
        written = _written(view, products[number - 1])
        for edge in sorted(open_spans):
            if edge not in present or (edge[0], edge[1]) in written:
                first, value = open_spans.pop(edge)
                spans.append(EdgeSpan(*edge, first, number - 1, value))
        before = {(source, target) for source, target, _ in frames[number - 1].edges}
        for edge in sorted(present - open_spans.keys()):
            ends = edge[0], edge[1]
            added = " + ".join(written.get(ends, ()))
            sum_of = ["the value before", added] if ends in before else [added]
            open_spans[edge] = number, " + ".join(part for part in sum_of if part)
    last = len(frames) - 1
    spans += [EdgeSpan(*edge, first, last, value) for edge, (first, value) in open_spans.items()]
    return tuple(sorted(spans, key=lambda s: (s.first, s.source, s.target, s.kind)))


def _written(view: GraphView, products: Sequence[Contraction]) -> dict[tuple[int, int], list[str]]:
    written: dict[tuple[int, int], list[str]] = {}
    for product in products:
        factors = product_text(view, product).partition(" += ")[2]
        written.setdefault((product.source, product.target), []).append(factors)
    return written
