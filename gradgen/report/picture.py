"""A graph in the formats that `gradgen show` has for it."""

from __future__ import annotations

from collections.abc import Sequence

from gradgen.ir.graph import LinearGraph
from gradgen.ir.graph_file import write_graph
from gradgen.ir.trace import Trace
from gradgen.lowering.lower import Lowering
from gradgen.report.array_view import EliminatedGraph, view_arrays
from gradgen.report.dot import write_dot, write_mermaid
from gradgen.report.drawing import draw
from gradgen.report.formats import PictureFormat
from gradgen.report.layout import lay_out
from gradgen.report.templating import fill
from gradgen.report.view import GraphView, view_graph
from gradgen.report.wording import word


def write_picture(
    graph: LinearGraph, form: PictureFormat, trace: Trace | None = None, source: str = ""
) -> str:
    """The graph as text, as a file for `gradgen search`, or as a picture.

    With the trace and the source that it was made from, pictures tell equations, source lines and
    partials.
    """
    if form == "text":
        return graph.pretty()
    if form == "json":
        return write_graph(graph)
    view = view_graph(
        graph, None if trace is None else word(trace, Lowering(trace).primal()), source
    )
    return _pictured(view, form, "" if trace is None else trace.function)


def write_array_pictures(found: Sequence[EliminatedGraph], form: PictureFormat, source: str) -> str:
    """The graphs of a function on arrays and of the steps of its loops, one below the other.

    An SVG file is one picture, that of the function; and there is no file for searches.
    """
    shown = []
    for one in found:
        title = f"the graph of a step of {one.title}" if one.title else ""
        if form == "text":
            shown.append(f"{title}:\n{one.graph.pretty()}" if title else one.graph.pretty())
        else:
            shown.append(_pictured(view_arrays(one, source), form, one.trace.function))
    return shown[0] if form == "svg" else "\n\n".join(shown)


def _pictured(view: GraphView, form: PictureFormat, function: str) -> str:
    if form == "dot":
        return write_dot(view)
    if form == "mermaid":
        return write_mermaid(view)
    title = f"The graph of {function}" if function else "Computational graph"
    drawing = draw(view, lay_out(view))
    return fill("picture.svg.jinja", title=title, drawing=drawing).rstrip("\n")
