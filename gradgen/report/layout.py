"""Where a graph's vertices and edges are drawn: Graphviz places them."""

from __future__ import annotations

from dataclasses import dataclass

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
    """As Graphviz's `dot` does it."""
    from pygraphviz import AGraph  # no other command needs it

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


def curve(source: Box, target: Box) -> tuple[Point, ...]:
    """From the lower edge of a box to the upper edge of another one."""
    x0, y0 = source.x, source.y + source.height / 2
    x, y = target.x, target.y - target.height / 2
    reach = (y - y0) * 0.5
    return (x0, y0), _rounded(x0, y0 + reach), _rounded(x, y - reach), _rounded(x, y)


def _size(vertex: VertexView) -> tuple[float, float]:
    if vertex.role == "intermediate" and len(vertex.label) == 1:
        return _HEIGHT, _HEIGHT
    return max(34.0, round(_LETTER * len(vertex.label) + 16.0, 1)), _HEIGHT


def _rounded(x: float, y: float) -> Point:
    return round(x, 1), round(y, 1)
