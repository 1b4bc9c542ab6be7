"""The stages of the way to a text, shown."""

from __future__ import annotations

import json
from collections.abc import Sequence

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_programs import array_module
from gradgen.compile.front import Front, open_front
from gradgen.compile.graphs import graph_from, graph_of
from gradgen.compile.opening import read
from gradgen.compile.ordering import orders_for
from gradgen.compile.programs import candidates
from gradgen.compile.status import Status
from gradgen.config import Settings
from gradgen.errors import error_in
from gradgen.ir.array_module import ArrayModule
from gradgen.ir.module import Module
from gradgen.report.array_view import EliminatedGraph, differentiations
from gradgen.report.formats import PictureFormat
from gradgen.report.picture import write_array_pictures, write_picture
from gradgen.targets.jax.render import render, render_arrays


def cheapest(settings: Settings, status: Status | None = None) -> Module | ArrayModule:
    """The module that would be written if it is exact, without its verification."""
    front = open_front(settings)
    return array_module(front) if isinstance(front, ArrayFront) else _cheapest(front, status)


def _cheapest(front: Front, status: Status | None = None) -> Module:
    graph = graph_of(front)
    return candidates(front, graph, orders_for(front.settings, graph, status))[0]


def show(settings: Settings, stage: str, form: PictureFormat = "text") -> str:
    """A stage of the pipeline as text: source, trace, graph, order, plan, program or text.

    A graph can be had in other formats, and from a graph file; an order always is JSON. On arrays,
    plan and program are those of the vector-Jacobian product, and what is shown of a function is
    shown of the steps of its loops as well.
    """
    if stage == "source":
        return read(settings).pretty()
    if stage == "graph" and settings.path.endswith(".json"):
        return write_picture(graph_from(settings), form)
    front = open_front(settings)
    if stage == "trace":
        return front.trace.pretty()
    if isinstance(front, ArrayFront):
        return _show_arrays(array_module(front), stage, form)
    if stage == "graph":
        return write_picture(graph_of(front), form, front.trace, front.source.text)
    module = _cheapest(front)
    chosen = module.jacobian.chosen
    if stage == "order":
        return chosen.order.to_json()
    if stage == "text":
        return render(module).rstrip("\n")
    return chosen.plan.pretty() if stage == "plan" else chosen.program.pretty()


def _show_arrays(module: ArrayModule, stage: str, form: PictureFormat) -> str:
    if stage == "text":
        return render_arrays(module).rstrip("\n")
    if stage == "plan":
        return module.pulled.plan.pretty()
    if stage == "program":
        return module.vjp.pretty()
    found = differentiations(module)
    if stage == "graph" and form == "json":
        raise error_in(
            module.source,
            f"'{module.source.function}' is on arrays, and a graph of arrays is no file",
            hint="--format text has its vertices, edges and patterns",
        )
    if stage == "graph":
        return write_array_pictures(found, form, module.source.text)
    return json.dumps(_order_document(found), indent=1)


def _order_document(found: Sequence[EliminatedGraph]) -> dict[str, object]:
    """The order of the function, with those of its loops' steps, where it has some."""
    first, *others = (json.loads(one.plan.order.to_json()) for one in found)
    titles = [one.title for one in found[1:]]
    document: dict[str, object] = first
    return document | ({"loops": dict(zip(titles, others, strict=True))} if others else {})
