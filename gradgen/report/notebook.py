"""A module in a notebook's output: its counts, its graph, its text."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from gradgen.ir.array_module import ArrayModule
from gradgen.ir.emitted import HVP, PROGRAMS
from gradgen.ir.module import Derivative, Module
from gradgen.lowering.lower import Lowering
from gradgen.report.array_view import differentiations, view_arrays
from gradgen.report.drawing import draw
from gradgen.report.layout import lay_out
from gradgen.report.templating import fill
from gradgen.report.view import view_graph
from gradgen.report.wording import word
from gradgen.targets.jax.arrays import counted

_STYLE = "margin: 0; padding: 0 0.75em; overflow-x: auto; background: #ffffff; color: #1f2328"


@dataclass(frozen=True)
class ProgramRow:
    """The operations of a program, those of accumulation in brackets, beside the plain modes."""

    name: str
    chosen: str
    forward: str
    reverse: str


def write_notebook(module: Module | ArrayModule, text: str) -> str:
    """HTML without scripts, ids and styles of the page, so that many may stand in one notebook."""
    if isinstance(module, ArrayModule):
        whole = differentiations(module)[0]
        view, order = view_arrays(whole, module.source.text), whole.plan.order
        shown = "primal", "vjp", "jvp", "gradient", HVP
        rows = tuple(_array_row(module, name) for name in shown)
        rows = tuple(row for row in rows if row.chosen)
    else:
        view = view_graph(
            module.graph, word(module.trace, Lowering(module.trace).primal()), module.source.text
        )
        order = module.jacobian.chosen.order
        rows = (
            _row("value and Jacobian", module.jacobian),
            _row("vector-Jacobian product", module.vjp),
            _row("Jacobian-vector product", module.jvp),
        )
        if module.second is not None:
            rows = (*rows, _row(PROGRAMS[HVP].title, module.second.jvp))
    name = module.source.name
    picture = fill(
        "picture.svg.jinja", title=f"The graph of {name}", drawing=draw(view, lay_out(view))
    )
    return fill(
        "notebook.html.jinja",
        name=name,
        wrt=[i.path for i in module.trace.inputs if i.wrt],
        rows=rows,
        order=order,
        picture=base64.b64encode(picture.encode()).decode(),
        source=highlight(text, PythonLexer(), HtmlFormatter(noclasses=True, cssstyles=_STYLE)),
        lines=text.count("\n"),
    )


def _array_row(module: ArrayModule, name: str) -> ProgramRow:
    """The operations of a program at the recorded sizes; empty where there is none."""
    program = module.programs.get(name)
    title = PROGRAMS[name].title if name in PROGRAMS else "value and gradient"
    if program is None:
        return ProgramRow(title, "", "", "")
    second = None if module.second is None else module.second.pushed
    works = {"vjp": module.pulled, "jvp": module.pushed, HVP: second}
    work, shown = works.get(name), f"{counted(module, program).total:,}"
    if work is None:
        return ProgramRow(title, shown, "", "")
    sweep = f"({work.sweep.muls:,})"
    modes = ("", sweep) if name == "vjp" else (sweep, "")
    return ProgramRow(title, f"{shown} ({work.plan.muls:,})", *modes)


def _row(name: str, derivative: Derivative) -> ProgramRow:
    three = derivative.chosen, derivative.forward, derivative.reverse
    return ProgramRow(name, *(f"{found.operations.total} ({found.plan.muls})" for found in three))
