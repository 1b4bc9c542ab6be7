"""Jacobian-vector products as elimination on a graph with one more vertex.

The graph of the weighted sum of the outputs has one dependent, so what elimination leaves is the
vector-Jacobian product; with one independent above all inputs it is the Jacobian-vector product
(Griewank and Walther, section 10.1). Neither forms the Jacobian.
"""

from __future__ import annotations

from collections.abc import Mapping

from gradgen.ir.code import Atom, Const, Var
from gradgen.ir.graph import WEIGHTED, Edge, LinearGraph, Vertex
from gradgen.ir.trace import Recurrence


def weight_outputs(graph: LinearGraph, cotangents: Mapping[str, Var]) -> LinearGraph:
    """The graph of the sum of the outputs weighted with cotangents, given by their paths."""
    last = len(graph.vertices)
    edges = [
        Edge(v, last, "variable", (cotangents[graph.vertices[v].path],)) for v in graph.dependents
    ]
    return LinearGraph(
        (*graph.vertices, Vertex(WEIGHTED, WEIGHTED)),
        graph.independents,
        (last,),
        tuple(sorted((*graph.edges, *edges), key=_ends)),
    )


def weight_inputs(graph: LinearGraph, tangents: Mapping[str, Var]) -> LinearGraph:
    """The graph below one independent, which feeds each input its tangent, given by paths."""
    edges = [
        Edge(0, v + 1, "variable", (tangents[graph.vertices[v].path],)) for v in graph.independents
    ]
    shifted = [Edge(e.source + 1, e.target + 1, e.kind, e.partials) for e in graph.edges]
    return LinearGraph(
        (Vertex(WEIGHTED, WEIGHTED), *graph.vertices),
        (0,),
        tuple(v + 1 for v in graph.dependents),
        tuple(sorted((*edges, *shifted), key=_ends)),
    )


def eligible_pairs(graph: LinearGraph, recurrence: Recurrence) -> tuple[tuple[str, str], ...]:
    """(state, other input) by input paths, wherever a trace can become nonzero as time goes on."""
    paths = [vertex.path for vertex in graph.vertices]
    direct = {paths[v]: {paths[i] for i in inputs} for v, inputs in graph.reach().items()}
    states = dict(recurrence)
    behind: dict[str, set[str]] = {state: direct.get(output, set()) for state, output in recurrence}
    changed = True
    while changed:
        changed = False
        for state, inputs in behind.items():
            more = inputs.union(*(behind[other] for other in inputs & states.keys()))
            changed = changed or more != inputs
            behind[state] = more
    others = [paths[v] for v in graph.independents if paths[v] not in states]
    # a state that nothing depends on needs no trace
    inputs = {paths[v] for v in graph.independents}
    carried = [state for state in states if state in inputs]
    return tuple((s, other) for s in carried for other in others if other in behind[s])


def weight_states(
    graph: LinearGraph,
    recurrence: Recurrence,
    traces: Mapping[tuple[str, str], Var],
    factors: Mapping[str, Var],
) -> LinearGraph:
    """The graph of one step of real-time recurrent learning, neuron by neuron.

    Below the inputs there is an independent for each one that is no state. It feeds that input
    itself (times its factor, if there is one), and each state its trace, the derivative of the
    state by it so far: what elimination leaves are the traces after the step, and the outputs'
    derivatives by everything up to it. `traces` are variables by (state, input).
    Source: Williams and Zipser 1989, Neural Computation 1(2), section 2.
    """
    number = {graph.vertices[v].path: v for v in graph.independents}
    states = dict(recurrence)
    others = [path for path in number if path not in states]
    edges: dict[tuple[str, str], Atom] = {
        (path, path): factors.get(path, Const(1.0)) for path in others
    }
    edges |= {(path, state): variable for (state, path), variable in traces.items()}
    count = len(others)
    below = [
        Edge(
            others.index(path),
            number[target] + count,
            "variable" if isinstance(weight, str) else "unit",
            (weight,),
        )
        for (path, target), weight in edges.items()
    ]
    above = [Edge(e.source + count, e.target + count, e.kind, e.partials) for e in graph.edges]
    reached = set(range(count))
    kept = []
    for edge in sorted([*below, *above], key=_ends):
        if edge.source in reached:
            reached.add(edge.target)
            kept.append(edge)
    vertices = [*(Vertex(f"{WEIGHTED}:{p}", p, path=p) for p in others), *graph.vertices]
    place = {v: k for k, v in enumerate(sorted(reached))}
    return LinearGraph(
        tuple(vertices[v] for v in place),
        tuple(range(count)),
        tuple(place[v + count] for v in graph.dependents if v + count in place),
        tuple(Edge(place[e.source], place[e.target], e.kind, e.partials) for e in kept),
    )


def _ends(edge: Edge) -> tuple[int, int]:
    return edge.source, edge.target
