"""The linearised graph of a traced source, or of a graph file."""

from __future__ import annotations

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.front import Front, of_neurons, open_front
from gradgen.config import Settings
from gradgen.elimination.array_graphs import ArrayGraph, vjp_graph
from gradgen.elimination.linearize import linearize
from gradgen.errors import GradgenError, error_in
from gradgen.files import read_text
from gradgen.ir.graph import LinearGraph
from gradgen.ir.graph_file import read_graph


def graph_of(front: Front) -> LinearGraph:
    """The linearised graph; raises GradgenError if no output depends on what is differentiated."""
    graph = linearize(front.trace)
    graph.check()
    if not graph.dependents:
        wrt = ", ".join(i.path for i in front.trace.inputs if i.wrt) or "no argument"
        raise error_in(
            front.source,
            f"no output of '{front.source.function}' depends differentiably on {wrt}",
            hint="choose what to differentiate with --wrt, or give spikes a surrogate derivative "
            "(jax.custom_jvp)",
        )
    return graph


def graph_from(settings: Settings) -> LinearGraph:
    """The graph to search: of a graph file, or of the step function in a source file.

    Raises GradgenError if it is neither, or if operations are to be counted or priced: they are
    those of a program, not of a graph.
    """
    if settings.objective.of_program:
        raise GradgenError(
            "operations are counted on a program, not on a graph",
            hint="search for few multiplications, or write a file with --objective "
            f"{settings.objective.name}",
        )
    if settings.path.endswith(".json") and settings.objective.count == "locality":
        raise GradgenError(
            "a graph file is of one neuron, in which no value crosses to others",
            hint="leave --objective out, or search the graph of a function on arrays by its source",
            path=settings.path,
            about="objective",
        )
    if not settings.path.endswith(".json"):
        return graph_of(of_neurons(open_front(settings), "table of all searches"))
    try:
        return read_graph(read_text(settings.path, "the graph"))
    except ValueError as error:
        raise GradgenError(f"this is no graph: {error}", path=settings.path) from None


def graph_to_search(settings: Settings) -> LinearGraph | ArrayGraph:
    """The same, and on arrays the graph of the vector-Jacobian product; with the same errors."""
    if settings.path.endswith(".json") or settings.objective.of_program:
        return graph_from(settings)
    front = open_front(settings)
    return vjp_graph(front.trace) if isinstance(front, ArrayFront) else graph_of(front)
