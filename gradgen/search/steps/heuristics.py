"""Edge and face orders that need no search."""

from __future__ import annotations

from gradgen.elimination.accumulate import as_edge_order, as_face_order
from gradgen.elimination.accumulation import Accumulation
from gradgen.elimination.face import LineGraph
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.steps import EdgeStep
from gradgen.search.heuristics import propose


def markowitz_edges(graph: LinearGraph, *, latest: bool = False) -> Order:
    """Always the edge elimination that takes the fewest multiplications (`muls`) now.

    The degree of a vertex that Markowitz minimises is, for the front elimination of an edge, the
    number of its target's successors, and for the back elimination that of its source's
    predecessors (Griewank and Walther, section 9.3). Ties go to the elimination at the vertex with
    the lowest Markowitz degree, then to the earliest vertex or the latest.
    """
    state = Accumulation(graph)
    names = [vertex.name for vertex in graph.vertices]
    sign = -1 if latest else 1
    steps = []
    while state.remaining():
        degree = {v: state.cost(v) for v in state.remaining()}
        choices = []
        for v, cost in degree.items():
            for source in sorted(state.predecessors[v]):
                choices.append((state.front_cost(source, v), cost, sign * v, 0, source, v))
            for target in sorted(state.successors[v]):
                choices.append((state.back_cost(v, target), cost, sign * v, 1, v, target))
        _, _, _, back, source, target = min(choices)
        steps.append(str(EdgeStep("back" if back else "front", names[source], names[target])))
        if back:
            state.back(source, target)
        else:
            state.front(source, target)
    found_by = f"markowitz on edges, ties to the {'latest' if latest else 'earliest'}"
    return Order("edge", graph.fingerprint, tuple(steps), found_by)


def markowitz_faces(graph: LinearGraph, *, latest: bool = False) -> Order:
    """Always a face at the vertex that has the fewest, free ones and absorbed ones first.

    Every face costs one product at most, so what a face costs now says little. Faces at the same
    vertex are Markowitz's degree of it. A product that a line-graph vertex absorbs makes no new
    faces. Ties go to the earliest vertex, or to the latest.
    """
    state = LineGraph(graph)
    sign = -1 if latest else 1
    steps = []
    while faces := state.faces():
        degree: dict[int, int] = {}
        for left, _ in faces:
            middle = state.ends[left][1]
            degree[middle] = degree.get(middle, 0) + 1
        left, right = min(
            faces,
            key=lambda face: (
                state.face_cost(*face),
                degree[state.ends[face[0]][1]],
                sign * state.ends[face[0]][1],
                not state.is_absorbed(*face),
                face,
            ),
        )
        steps.append(state.name(left, right))
        state.eliminate(left, right)
    found_by = f"markowitz on faces, ties to the {'latest' if latest else 'earliest'}"
    return Order("face", graph.fingerprint, tuple(steps), found_by)


def propose_edges(graph: LinearGraph) -> tuple[Order, ...]:
    """Forward, reverse and Markowitz's vertex orders as edge orders, and Markowitz on edges."""
    embedded = tuple(as_edge_order(graph, order) for order in propose(graph))
    return (*embedded, *(markowitz_edges(graph, latest=latest) for latest in (False, True)))


def propose_faces(graph: LinearGraph) -> tuple[Order, ...]:
    """The edge orders as face orders, and Markowitz on faces."""
    embedded = tuple(as_face_order(graph, order) for order in propose_edges(graph))
    return (*embedded, *(markowitz_faces(graph, latest=latest) for latest in (False, True)))
