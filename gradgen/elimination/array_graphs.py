"""Linearised graphs of functions on arrays: of a vector product, and of the whole Jacobian.

That of a vector product has the outputs weighted with cotangents, or the inputs with tangents
(Griewank and Walther, *Evaluating Derivatives*, section 10.1), so that one end of it is a single
number. Operators can then be applied to what has met that end already.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from gradgen.elimination.reaching import between, neighbours, reach
from gradgen.elimination.vertex import named
from gradgen.ir.array_plan import TIP, tip
from gradgen.ir.array_trace import ArrayTrace, Operator, Part, Partial, Passed
from gradgen.ir.code import Const, Var
from gradgen.ir.graph import Order
from gradgen.ir.identity import stable_names
from gradgen.ir.loops import LOOP, loop_of
from gradgen.ir.patterns import Pattern, described, vector
from gradgen.ir.shapes import DEFAULT_SIZE, Dim, Shape, Sizes, axes_in, written

END = "1"
"""The vertex of the single number."""

Term = Part
"""What an edge is a sum of."""


@dataclass(frozen=True)
class ArrayGraph:
    """A linearised graph. Vertices are variables, in topological order but for the single number,
    which comes first."""

    vertices: tuple[Var, ...]
    intermediates: tuple[Var, ...]
    ends: tuple[tuple[Var, Var], ...]
    """(target, source): what is left, and what it is differentiated by."""
    edges: tuple[tuple[Var, Var, tuple[Term, ...]], ...]
    """(source, target, terms)."""
    shapes: Mapping[Var, Shape]
    loops: Mapping[Var, tuple[Dim, ArrayTrace]]
    """The length of each loop, and what a step of it computes."""
    names: Mapping[Var, str]
    """Of the vertices, by what they compute: they outlive the variables."""
    sizes: Sizes
    """What the axes count for."""

    @cached_property
    def fingerprint(self) -> str:
        """Identifies the graph by its vertices' names, its edges and their patterns, and sizes."""
        edges = sorted((self.names[s], self.names[t], [*map(_said, x)]) for s, t, x in self.edges)
        content = {
            "vertices": [self.names[v] for v in self.vertices],
            "ends": [[self.names[v] for v in pair] for pair in self.ends],
            "edges": edges,
            "sizes": {
                axis: self.sizes.get(axis, DEFAULT_SIZE)
                for axis in axes_in(self.shapes[v] for v in self.vertices if v in self.shapes)
            },
        }
        text = json.dumps(content, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def pretty(self) -> str:
        """Vertices and edges with their patterns, one a line; then the steps of loops."""
        inner, edges = set(self.intermediates), sum(len(terms) for _, _, terms in self.edges)
        lines = [f"{len(inner)} intermediates, {edges} edges ({self.fingerprint})"]
        for v in self.vertices:
            shape = written(self.shapes.get(v, ()))
            role = "intermediate" if v in inner else "end"
            lines.append(f"  {v}: {shape} [{self.names[v]}] {role}")
        for source, target, terms in self.edges:
            for term in terms:
                known = described(term.pattern) if isinstance(term, Partial) else "a linear map"
                shown = f"number {term.index} of a loop" if isinstance(term, Passed) else known
                lines.append(f"  {source} -> {target}  ({shown})")
        return "\n".join(lines)

    def order(self, steps: Iterable[Var], found_by: str, *, proved: bool = False) -> Order:
        """The order that eliminates these vertices."""
        names = tuple(self.names[v] for v in steps)
        return Order("vertex", self.fingerprint, names, found_by, proved)

    def steps(self, order: Order) -> tuple[Var, ...]:
        """The vertices of an order; raises OrderMismatchError if it is for another graph."""
        return named(order.steps, {v: (n, n) for v, n in self.names.items()}, self.intermediates)


def _said(term: Term) -> str:
    """A term, as far as the price of an elimination depends on it and vertices do not tell it."""
    if isinstance(term, Partial):
        p = term.pattern
        return repr((p.rows, p.columns, sorted(p.held), p.dims, p.free))
    return f"{type(term).__name__} {term.index if isinstance(term, Passed) else ''}"


def cotangents_of(trace: ArrayTrace) -> dict[Var, Var]:
    """The variables of the cotangents of all outputs that vary: by each, whose it is."""
    varying = [o.atom for o in trace.float_outputs if isinstance(o.atom, str)]
    return {f"ct{k}": variable for k, variable in enumerate(varying)}


def vjp_graph(trace: ArrayTrace) -> ArrayGraph:
    """The graph of the vector-Jacobian product by cotangents of all outputs."""
    return weighted_outputs(trace, cotangents_of(trace))


def weighted_outputs(trace: ArrayTrace, cotangents: Mapping[Var, Var]) -> ArrayGraph:
    """The graph of the outputs' sum, weighted with cotangents: by each, whose it is."""
    inputs = [i.variable for i in trace.inputs if i.wrt]
    edges = edges_in(trace)
    kept = between(edges, inputs, list(cotangents.values()))
    for weight, variable in cotangents.items():
        edges.setdefault((variable, END), []).append(vector_of(variable, weight, trace))
    return graph_of(trace, edges, kept, [(END, v) for v in inputs if v in kept])


def weighted_inputs(trace: ArrayTrace, tangents: Mapping[Var, Var]) -> ArrayGraph:
    """The graph below one number, which feeds each input its tangent: by each, whose it is.

    Outputs have vertices of their own, since they may be read further.
    """
    edges = edges_in(trace)
    outputs = with_tips(trace, edges)
    kept = between(edges, list(tangents.values()), outputs)
    for weight, variable in tangents.items():
        edges[END, variable] = [vector_of(variable, weight, trace, rows=True)]
    return graph_of(trace, edges, kept, [(v, END) for v in outputs if v in kept])


def whole_jacobian(trace: ArrayTrace) -> ArrayGraph:
    """The graph from the differentiated inputs to the outputs, which have vertices of their own."""
    inputs = [i.variable for i in trace.inputs if i.wrt]
    edges = edges_in(trace)
    outputs = with_tips(trace, edges)
    kept = between(edges, inputs, outputs)
    above = {t: reach([t], neighbours((b, a) for a, b in edges)) for t in outputs if t in kept}
    ends = [(t, s) for t in above for s in inputs if s in above[t]]
    return graph_of(trace, edges, kept, ends)


def ends_of(graph: ArrayGraph, source: Var, target: Var) -> tuple[list[Var], list[Var]]:
    """What paths to one vertex come from, and where paths from another go to."""
    edges = [(s, t) for s, t, _ in graph.edges]
    above = reach([source], neighbours((t, s) for s, t in edges))
    below = reach([target], neighbours(edges))
    sources = dict.fromkeys(s for _, s in graph.ends if s in above)
    targets = dict.fromkeys(t for t, _ in graph.ends if t in below)
    return list(sources), list(targets)


def blocked(graph: ArrayGraph) -> tuple[Var, Var, Var] | None:
    """An output, an input, and the operation between them that is applied to vectors alone."""
    for middle, target, terms in graph.edges:
        for operator in (term for term in terms if not isinstance(term, Partial)):
            inputs, outputs = ends_of(graph, middle, target)
            wide = [v for v in outputs if graph.shapes[v]]
            given = [v for v in inputs if graph.shapes[v]]
            pushed = isinstance(operator, Operator) and operator.pushed is not None
            if isinstance(operator, Passed) or (wide and (given or middle in inputs or not pushed)):
                return (wide or outputs)[0].removeprefix(TIP), (given or inputs)[0], target
    return None


def goes_forward(graph: ArrayGraph) -> bool:
    """Whether tangents can be pushed along all edges: none has a rule for cotangents alone."""
    terms = [term for _, _, terms in graph.edges for term in terms]
    steps = [step for _, trace in graph.loops.values() for step in trace.with_steps]
    terms += [part for step in steps for e in step.elementals for part in e.parts]
    return all(not isinstance(term, Operator) or term.pushed is not None for term in terms)


Edges = dict[tuple[Var, Var], list[Term]]


def edges_in(trace: ArrayTrace) -> Edges:
    """The terms of all partials, by source and target."""
    edges: Edges = {}
    for elemental in trace.elementals:
        for part in elemental.parts:
            edges.setdefault((part.source, elemental.target), []).append(part)
    return edges


def with_tips(trace: ArrayTrace, edges: Edges) -> list[Var]:
    """The vertices of the outputs, joined to what they are."""
    outputs = dict.fromkeys(o.atom for o in trace.float_outputs if isinstance(o.atom, str))
    for variable in outputs:
        edges[variable, tip(variable)] = [identity(variable, trace)]
    return [tip(variable) for variable in outputs]


def vector_of(variable: Var, weight: Var, trace: ArrayTrace, *, rows: bool = False) -> Partial:
    """A cotangent of a variable, or a tangent, as a partial."""
    shape = trace.shapes_by_variable[variable]
    layout = tuple(None if dim == 1 else k for k, dim in enumerate(shape))
    return Partial(variable, vector(shape, rows=rows), weight, layout)


def identity(variable: Var, trace: ArrayTrace) -> Partial:
    """The derivative of a variable by itself."""
    shape = trace.shapes_by_variable[variable]
    axes = tuple(range(len(shape)))
    return Partial(variable, Pattern(axes, axes, frozenset(), shape, True), Const(1.0), ())


def graph_of(
    trace: ArrayTrace,
    edges: Edges,
    kept: Collection[Var],
    ends: Sequence[tuple[Var, Var]],
    first: Sequence[Var] = (),
) -> ArrayGraph:
    """The graph of some vertices; those that come `first` are above what the trace has before."""
    inputs = [i.variable for i in trace.inputs if i.wrt]
    order = list(dict.fromkeys((*first, *inputs, *(e.target for e in trace.elementals))))
    order += dict.fromkeys(target for target, _ in ends if target != END and target not in order)
    left = {vertex for pair in ends for vertex in pair}
    vertices = (*([END] if END in left else []), *(v for v in order if v in kept))
    found = [(s, t, tuple(parts)) for (s, t), parts in edges.items() if {s, t} <= {*vertices}]
    shapes = trace.shapes_by_variable
    lengths = {i.target: loop_of(i).length for i in trace.primal if i.op == LOOP}
    return ArrayGraph(
        vertices,
        tuple(v for v in vertices if v not in left),
        tuple(ends),
        tuple(found),
        shapes | {tip(v): shapes[v] for v in vertices if v in shapes},
        {loop: (lengths[loop], step) for loop, step in trace.loops if loop in vertices},
        _names(trace, vertices),
        dict(trace.sizes),
    )


def _names(trace: ArrayTrace, vertices: Iterable[Var]) -> dict[Var, str]:
    """Stable names for vertices, with a number to tell equal ones apart."""
    # what a step of a loop is given has no path but its variable, whose number may change
    given = {
        i.variable: str(k) if i.path == i.variable else i.path for k, i in enumerate(trace.inputs)
    }
    names = stable_names(trace.primal, given)
    found: dict[Var, str] = {}
    seen: dict[str, int] = {}
    for vertex in vertices:
        variable = vertex.removeprefix(TIP)
        name = f"{vertex[: -len(variable)]}{names.get(variable, variable)}"
        seen[name] = seen.get(name, 0) + 1
        found[vertex] = name if seen[name] == 1 else f"{name}.{seen[name]}"
    return found
