"""The stages of the way to a text, shown."""

from __future__ import annotations

from gradgen.compile.front import of_neurons, open_front
from gradgen.compile.graphs import graph_from, graph_of
from gradgen.compile.opening import read
from gradgen.compile.ordering import orders_for
from gradgen.compile.programs import candidates
from gradgen.compile.status import Status
from gradgen.config import Settings
from gradgen.ir.module import Module
from gradgen.report.formats import PictureFormat
from gradgen.report.picture import write_picture


def cheapest(settings: Settings, status: Status | None = None) -> Module:
    """The module that would be written if it is exact, without its verification."""
    front = of_neurons(open_front(settings), "module to look into")
    graph = graph_of(front)
    return candidates(front, graph, orders_for(settings, graph, status))[0]


def show(settings: Settings, stage: str, form: PictureFormat = "text") -> str:
    """A stage of the pipeline as text: source, trace, graph, order, plan or program.

    A graph can be had in other formats, and from a graph file; an order always is JSON.
    """
    if stage == "source":
        return read(settings).pretty()
    if stage == "graph" and settings.path.endswith(".json"):
        return write_picture(graph_from(settings), form)
    if stage in ("trace", "graph"):
        front = of_neurons(open_front(settings), "stage to show")
        if stage == "trace":
            return front.trace.pretty()
        return write_picture(graph_of(front), form, front.trace, front.source.text)
    chosen = cheapest(settings).jacobian.chosen
    if stage == "order":
        return chosen.order.to_json()
    return chosen.plan.pretty() if stage == "plan" else chosen.program.pretty()
