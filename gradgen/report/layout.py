"""Where a graph's vertices and edges are drawn: by Graphviz, or in plain layers without it."""

from __future__ import annotations

from dataclasses import dataclass

from gradgen.errors import GradgenError
from gradgen.report.layers import place_in_layers
from gradgen.report.view import GraphView, VertexView

Point = tuple[float, float]

_MARGIN = 12.0
_POINTS_PER_INCH = 72.0
_HEIGHT = 26.0
_LETTER = 7.2
"""How wide a letter is, about, in the fonts that pictures use."""


@dataclass(frozen=True)
class Box:
    """The middle of a vertex, its width and its height."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Layout:
    """A picture's size, the vertices' boxes, and the edges' curves, in the order of the view.

    A curve is a start and three control points for each piece, as in an SVG path.
    """

    width: float
    height: float
    boxes: tuple[Box, ...]
    curves: tuple[tuple[Point, ...], ...]


def lay_out(view: GraphView) -> Layout:
    """As Graphviz does it where that is installed, else in plain layers."""
    try:
        import pygraphviz  # noqa: F401
    except ImportError:
        return lay_out_in_layers(view)
    return lay_out_by_graphviz(view)


def lay_out_by_graphviz(view: GraphView) -> Layout:
    """Graphviz's `dot`; raises GradgenError if it is not installed."""
    try:
        from pygraphviz import AGraph
    except ImportError:
        raise GradgenError(
            "Graphviz is not installed, which lays the graph out",
            hint="pip install 'gradgen-jax[report]', or take --format dot or mermaid",
        ) from None
    graph = AGraph(directed=True, strict=False)
    # sizes are given and labels are not, so that no font of the machine has a say
    graph.node_attr.update(fixedsize="true", label="", shape="box")
    graph.graph_attr.update(nodesep="0.25", ranksep="0.35")
    for v, vertex in enumerate(view.vertices):
        width, height = _size(vertex)
        graph.add_node(
            str(v), width=f"{width / _POINTS_PER_INCH}", height=f"{height / _POINTS_PER_INCH}"
        )
    for rank, role in (("source", "input"), ("sink", "output")):
        same = [str(v) for v, vertex in enumerate(view.vertices) if vertex.role == role]
        graph.add_subgraph(same, name=rank, rank=rank)
    for edge in view.edges:
        graph.add_edge(str(edge.source), str(edge.target))
    graph.layout(prog="dot")
    _, _, right, top = map(float, graph.graph_attr["bb"].split(","))

    def point(text: str) -> Point:
        x, y = map(float, text.split(","))
        return _rounded(x + _MARGIN, top - y + _MARGIN)

    boxes = []
    for v, vertex in enumerate(view.vertices):
        boxes.append(Box(*point(graph.get_node(str(v)).attr["pos"]), *_size(vertex)))
    curves = []
    for edge in view.edges:
        pieces = graph.get_edge(str(edge.source), str(edge.target)).attr["pos"].split()
        # the arrow's tip comes first, as "e,x,y"
        tip = point(pieces[0].removeprefix("e,"))
        points = [point(piece) for piece in pieces[1:]]
        curves.append((*points[:-1], tip))
    return Layout(*_rounded(right + 2 * _MARGIN, top + 2 * _MARGIN), tuple(boxes), tuple(curves))


def lay_out_in_layers(view: GraphView) -> Layout:
    """Every vertex below those that it depends on, its operands above it as near as may be."""
    sizes = [_size(vertex) for vertex in view.vertices]
    inputs = {v for v, vertex in enumerate(view.vertices) if vertex.role == "input"}
    outputs = {v for v, vertex in enumerate(view.vertices) if vertex.role == "output"}
    ends = [(edge.source, edge.target) for edge in view.edges]
    placed = place_in_layers([width for width, _ in sizes], ends, inputs, outputs)
    boxes = [
        Box(*_rounded(x + _MARGIN, y + _MARGIN + _HEIGHT / 2), *size)
        for (x, y), size in zip(placed.positions, sizes, strict=True)
    ]
    curves = []
    for (source, target), bends in zip(ends, placed.bends, strict=True):
        stops = [_rounded(x + _MARGIN, y + _MARGIN + _HEIGHT / 2) for x, y in bends]
        curves.append(curve(boxes[source], boxes[target], stops))
    right = [box.x + box.width / 2 for box in boxes]
    width = max(*right, *(x for points in curves for x, _ in points)) + _MARGIN
    height = max(box.y + box.height / 2 for box in boxes) + _MARGIN
    return Layout(*_rounded(width, height), tuple(boxes), tuple(curves))


def curve(source: Box, target: Box, stops: list[Point] | None = None) -> tuple[Point, ...]:
    """From the lower edge of a box to the upper edge of another one, over the stops between."""
    start = source.x, source.y + source.height / 2
    end = target.x, target.y - target.height / 2
    points = [start]
    for x, y in [*(stops or ()), end]:
        (x0, y0) = points[-1]
        reach = (y - y0) * 0.5
        points += [_rounded(x0, y0 + reach), _rounded(x, y - reach), _rounded(x, y)]
    return tuple(points)


def _size(vertex: VertexView) -> tuple[float, float]:
    if vertex.role == "intermediate" and len(vertex.label) == 1:
        return _HEIGHT, _HEIGHT
    return max(34.0, round(_LETTER * len(vertex.label) + 16.0, 1)), _HEIGHT


def _rounded(x: float, y: float) -> Point:
    return round(x, 1), round(y, 1)
