"""A module in a notebook's output: its counts, its graph, its text."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from gradgen.ir.module import Derivative, Module
from gradgen.lowering.lower import Lowering
from gradgen.report.drawing import draw
from gradgen.report.layout import lay_out
from gradgen.report.templating import fill
from gradgen.report.view import view_graph
from gradgen.report.wording import word

_STYLE = "margin: 0; padding: 0 0.75em; overflow-x: auto; background: #ffffff; color: #1f2328"


@dataclass(frozen=True)
class Row:
    """The operations of a program, those of accumulation in brackets, beside the plain modes."""

    name: str
    chosen: str
    forward: str
    reverse: str


def write_notebook(module: Module, text: str) -> str:
    """HTML without scripts, ids and styles of the page, so that many may stand in one notebook."""
    view = view_graph(
        module.graph, word(module.trace, Lowering(module.trace).primal()), module.source.text
    )
    name = module.source.name
    picture = fill(
        "picture.svg.jinja", title=f"The graph of {name}", drawing=draw(view, lay_out(view))
    )
    return fill(
        "notebook.html.jinja",
        name=name,
        wrt=[i.path for i in module.trace.inputs if i.wrt],
        rows=(
            _row("value and Jacobian", module.jacobian),
            _row("vector-Jacobian product", module.vjp),
            _row("Jacobian-vector product", module.jvp),
        ),
        order=module.jacobian.chosen.order,
        picture=base64.b64encode(picture.encode()).decode(),
        source=highlight(text, PythonLexer(), HtmlFormatter(noclasses=True, cssstyles=_STYLE)),
        lines=text.count("\n"),
    )


def _row(name: str, derivative: Derivative) -> Row:
    three = derivative.chosen, derivative.forward, derivative.reverse
    return Row(name, *(f"{found.operations.total} ({found.plan.muls})" for found in three))
