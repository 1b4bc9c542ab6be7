"""Jacobian-vector products as elimination on a graph with one more vertex.

The graph of the weighted sum of the outputs has one dependent, so what elimination leaves is the
vector-Jacobian product; with one independent above all inputs it is the Jacobian-vector product
(Griewank and Walther, section 10.1). Neither forms the Jacobian.
"""

from __future__ import annotations

from collections.abc import Mapping

from gradgen.ir.code import Var
from gradgen.ir.graph import WEIGHTED, Edge, LinearGraph, Vertex


def weight_outputs(graph: LinearGraph, cotangents: Mapping[str, Var]) -> LinearGraph:
    """The graph of the sum of the outputs weighted with cotangents, given by dependents' names."""
    last = len(graph.vertices)
    edges = [
        Edge(v, last, "variable", (cotangents[graph.vertices[v].name],)) for v in graph.dependents
    ]
    return LinearGraph(
        (*graph.vertices, Vertex(WEIGHTED, WEIGHTED)),
        graph.independents,
        (last,),
        tuple(sorted((*graph.edges, *edges), key=_ends)),
    )


def weight_inputs(graph: LinearGraph, tangents: Mapping[str, Var]) -> LinearGraph:
    """The graph below one independent, which feeds each input its tangent, given by names."""
    edges = [
        Edge(0, v + 1, "variable", (tangents[graph.vertices[v].name],)) for v in graph.independents
    ]
    shifted = [Edge(e.source + 1, e.target + 1, e.kind, e.partials) for e in graph.edges]
    return LinearGraph(
        (Vertex(WEIGHTED, WEIGHTED), *graph.vertices),
        (0,),
        tuple(v + 1 for v in graph.dependents),
        tuple(sorted((*edges, *shifted), key=_ends)),
    )


def _ends(edge: Edge) -> tuple[int, int]:
    return edge.source, edge.target
