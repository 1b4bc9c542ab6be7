"""A graph as shapes for an SVG: what the templates put into place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gradgen.ir.graph import PartialKind
from gradgen.report.dot import describe_edge, describe_vertex
from gradgen.report.layout import Layout, Point, curve
from gradgen.report.model_report import EdgeSpan, EliminationReplay
from gradgen.report.view import EdgeView, GraphView, Role


@dataclass(frozen=True)
class Node:
    """A vertex: its box by its upper left corner, and its label in the middle."""

    number: int
    role: Role
    label: str
    title: str
    left: float
    top: float
    width: float
    height: float
    x: float
    y: float
    gone: int
    """The first frame that is without it; -1 if it stays."""


@dataclass(frozen=True)
class EdgePath:
    """An edge as an SVG path, and the frames that show it."""

    kind: PartialKind
    path: str
    title: str
    first: int
    last: int
    axes: str
    """On arrays, which axes hang on which; and where that is written."""
    x: float
    y: float


@dataclass(frozen=True)
class Drawing:
    """A picture of a graph, still or replayed."""

    width: float
    height: float
    nodes: tuple[Node, ...]
    lines: tuple[EdgePath, ...]


def draw(view: GraphView, layout: Layout) -> Drawing:
    """The graph as it is."""
    lines = tuple(
        _line(view, edge, points, 0, 0)
        for edge, points in zip(view.edges, layout.curves, strict=True)
    )
    return Drawing(layout.width, layout.height, _nodes(view, layout, {}), lines)


def _line(
    view: GraphView, edge: EdgeView, points: Sequence[Point], first: int, last: int
) -> EdgePath:
    """An edge; what is written at it stands between its second and third quarter."""
    (x0, y0), (x, y) = points[len(points) // 2 - 1], points[len(points) // 2]
    title = describe_edge(view, edge)
    middle = round((x0 + x) / 2, 1), round((y0 + y) / 2, 1)
    return EdgePath(edge.kind, _path(points), title, first, last, edge.axes, *middle)


def draw_replay(view: GraphView, layout: Layout, replay: EliminationReplay) -> Drawing:
    """The graph with all edges that an elimination brings, each with its frames."""
    gone = {v: k for k, step in enumerate(replay.steps, start=1) for v in step.gone}
    original = {
        (edge.source, edge.target): points
        for edge, points in zip(view.edges, layout.curves, strict=True)
    }

    def line(span: EdgeSpan) -> EdgePath:
        boxes = layout.boxes
        points = original.get((span.source, span.target))
        if points is None:
            points = curve(boxes[span.source], boxes[span.target])
        edge = EdgeView(span.source, span.target, span.kind, span.value, span.axes)
        return _line(view, edge, points, span.first, span.last)

    lines = tuple(line(span) for span in replay.spans)
    return Drawing(layout.width, layout.height, _nodes(view, layout, gone), lines)


def _nodes(view: GraphView, layout: Layout, gone: dict[int, int]) -> tuple[Node, ...]:
    return tuple(
        Node(
            number=v,
            role=vertex.role,
            label=vertex.label,
            title=describe_vertex(vertex),
            left=round(box.x - box.width / 2, 1),
            top=round(box.y - box.height / 2, 1),
            width=box.width,
            height=box.height,
            x=box.x,
            y=box.y,
            gone=gone.get(v, -1),
        )
        for v, (vertex, box) in enumerate(zip(view.vertices, layout.boxes, strict=True))
    )


def _path(points: Sequence[Point]) -> str:
    (x, y), *rest = points
    return f"M{x:g} {y:g}C" + " ".join(f"{x:g} {y:g}" for x, y in rest)
