"""A graph in the formats that `gradgen show` has for it."""

from __future__ import annotations

from gradgen.ir.graph import LinearGraph
from gradgen.ir.graph_file import write_graph
from gradgen.ir.trace import Trace
from gradgen.lowering.lower import Lowering
from gradgen.report.dot import write_dot, write_mermaid
from gradgen.report.drawing import draw
from gradgen.report.formats import PictureFormat
from gradgen.report.layout import lay_out
from gradgen.report.templating import fill
from gradgen.report.view import view_graph
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
    if form == "dot":
        return write_dot(view)
    if form == "mermaid":
        return write_mermaid(view)
    title = "Computational graph" if trace is None else f"The graph of {trace.function}"
    drawing = draw(view, lay_out(view))
    return fill("picture.svg.jinja", title=title, drawing=drawing).rstrip("\n")
