"""The linearised computational graph of a trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from gradgen.elimination.reaching import between
from gradgen.ir.algebra import mask_values
from gradgen.ir.builder import Builder
from gradgen.ir.code import Atom, Const, Var
from gradgen.ir.graph import Edge, LinearGraph, PartialKind, Vertex
from gradgen.ir.identity import stable_names
from gradgen.ir.trace import Output, Trace

Node = Var | Output
"""A vertex by the variable behind it, or an output that has one of its own."""


def linearize(trace: Trace) -> LinearGraph:
    """Vertices for the differentiated inputs, the operations between, and the float outputs.

    An output that is read further, or occurs twice, or is an input, gets a dependent of its own
    behind a unit edge. What no independent reaches, or reaches no dependent, is left out.
    """
    edges: dict[tuple[Node, Node], tuple[Atom, ...]] = {}
    independents = [i.variable for i in trace.inputs if i.wrt]
    order: list[Node] = [*independents]
    read: set[Var] = set()
    for elemental in trace.elementals:
        order.append(elemental.target)
        for operand, partial in elemental.partials:
            ends: tuple[Node, Node] = operand, elemental.target
            edges[ends] = (*edges.get(ends, ()), partial)
            read.add(operand)
    dependents: list[tuple[Node, Output]] = []
    occurrences = Counter(output.atom for output in trace.float_outputs)
    for output in trace.float_outputs:
        if not isinstance(output.atom, str) or output.atom not in order:
            continue
        if output.atom in independents or output.atom in read or occurrences[output.atom] > 1:
            edges[output.atom, output] = (Const(1.0),)
            order.append(output)
            dependents.append((output, output))
        else:
            dependents.append((output.atom, output))
    outputs = {node for node, _ in dependents}
    kept = between(edges, independents, outputs)
    # dependents last, so that an output's vertex has the same place whether it is read or not
    ordered = [v for v in order if v in kept and v not in outputs]
    ordered += [node for node, _ in dependents if node in kept]
    return _number(trace, ordered, independents, dependents, edges)


def _number(
    trace: Trace,
    ordered: list[Node],
    independents: list[Var],
    dependents: list[tuple[Node, Output]],
    edges: Mapping[tuple[Node, Node], tuple[Atom, ...]],
) -> LinearGraph:
    number = {node: position for position, node in enumerate(ordered)}
    paths = {i.variable: i.path for i in trace.inputs}
    names = stable_names((*trace.primal, *trace.partials), paths)
    labels = {label.variable: label.name for label in trace.labels}
    short = Counter(i.name for i in trace.inputs)
    inputs = {
        i.variable: i.name if short[i.name] == 1 and not i.name.isdigit() else i.path
        for i in trace.inputs
    }
    operations = {e.target: e.operation for e in trace.elementals}
    outputs = dict(dependents)
    seen: dict[str, int] = {}
    vertices = []
    for node in ordered:
        if node in outputs:
            path = outputs[node].path
            alias = labels.get(str(outputs[node].atom)) or f"out {path}"
            vertices.append(Vertex(f"out:{path}", alias, path=path))
            continue
        assert isinstance(node, Var)
        name = names[node]
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            name = f"{name}.{seen[name]}"
        alias = inputs.get(node) or labels.get(node) or f"({operations[node]})"
        vertices.append(Vertex(name, alias, node, paths.get(node, "")))
    code = Builder("k", (*trace.primal, *trace.partials))
    numbered = sorted(
        (number[source], number[target], partials)
        for (source, target), partials in edges.items()
        if source in number and target in number
    )
    return LinearGraph(
        vertices=tuple(vertices),
        independents=tuple(number[v] for v in independents if v in number),
        dependents=tuple(number[node] for node, _ in dependents if node in number),
        edges=tuple(Edge(s, t, _kind(code, partials), partials) for s, t, partials in numbered),
    )


def _kind(code: Builder, partials: tuple[Atom, ...]) -> PartialKind:
    """The kind of an edge whose value is the sum of these partials."""
    if all(isinstance(atom, Const) for atom in partials):
        total = sum(atom.value for atom in partials if isinstance(atom, Const))
        return "unit" if abs(total) == 1 else "constant"
    if len(partials) == 1 and mask_values(code, partials[0]) is not None:
        return "mask"
    return "variable"
