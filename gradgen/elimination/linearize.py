"""The linearised computational graph of a trace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from gradgen.ir.algebra import mask_values
from gradgen.ir.builder import Builder
from gradgen.ir.code import Atom, Const
from gradgen.ir.graph import Edge, Kind, LinearGraph, Vertex
from gradgen.ir.identity import stable_names
from gradgen.ir.trace import Output, Trace


def linearize(trace: Trace) -> LinearGraph:
    """Vertices for the differentiated inputs, the operations between, and the float outputs.

    An output that is read further, or occurs twice, or is an input, gets a dependent of its own
    behind a unit edge. What no independent reaches, or reaches no dependent, is left out.
    """
    edges: dict[tuple[str, str], tuple[Atom, ...]] = {}
    independents = [i.variable for i in trace.inputs if i.wrt]
    order = list(independents)
    read: set[str] = set()
    for elemental in trace.elementals:
        order.append(elemental.target)
        for operand, partial in elemental.partials:
            ends = (operand, elemental.target)
            edges[ends] = (*edges.get(ends, ()), partial)
            read.add(operand)
    dependents: list[tuple[str, Output]] = []
    occurrences = Counter(output.atom for output in trace.float_outputs)
    for output in trace.float_outputs:
        if not isinstance(output.atom, str) or output.atom not in order:
            continue
        if output.atom in independents or output.atom in read or occurrences[output.atom] > 1:
            key = f"out:{output.path}"
            edges[output.atom, key] = (Const(1.0),)
            order.append(key)
        else:
            key = output.atom
        dependents.append((key, output))
    outputs = {key for key, _ in dependents}
    kept = _connected(set(independents), outputs, edges)
    # dependents last, so that an output's vertex has the same place whether it is read or not
    ordered = [v for v in order if v in kept and v not in outputs]
    ordered += [key for key, _ in dependents if key in kept]
    return _number(trace, ordered, independents, dependents, edges)


def _connected(
    independents: set[str], dependents: set[str], edges: Iterable[tuple[str, str]]
) -> set[str]:
    """The vertices on paths from an independent to a dependent."""
    successors: dict[str, list[str]] = {}
    predecessors: dict[str, list[str]] = {}
    for source, target in edges:
        successors.setdefault(source, []).append(target)
        predecessors.setdefault(target, []).append(source)
    return _reach(independents, successors) & _reach(dependents, predecessors)


def _reach(start: set[str], neighbours: Mapping[str, list[str]]) -> set[str]:
    reached = set(start)
    waiting = list(start)
    while waiting:
        for vertex in neighbours.get(waiting.pop(), ()):
            if vertex not in reached:
                reached.add(vertex)
                waiting.append(vertex)
    return reached


def _number(
    trace: Trace,
    ordered: list[str],
    independents: list[str],
    dependents: list[tuple[str, Output]],
    edges: Mapping[tuple[str, str], tuple[Atom, ...]],
) -> LinearGraph:
    number = {key: position for position, key in enumerate(ordered)}
    names = stable_names(trace.primal, {i.variable: i.path for i in trace.inputs})
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
    for key in ordered:
        if key in outputs:
            path = outputs[key].path
            alias = labels.get(str(outputs[key].atom)) or f"out {path}"
            vertices.append(Vertex(f"out:{path}", alias, f"out:{path}"))
            continue
        name = names[key]
        seen[name] = seen.get(name, 0) + 1
        if seen[name] > 1:
            name = f"{name}.{seen[name]}"
        alias = inputs.get(key) or labels.get(key) or f"({operations[key]})"
        vertices.append(Vertex(name, alias, key))
    code = Builder("k", (*trace.primal, *trace.partials))
    numbered = sorted(
        (number[source], number[target], partials)
        for (source, target), partials in edges.items()
        if source in number and target in number
    )
    return LinearGraph(
        vertices=tuple(vertices),
        independents=tuple(number[v] for v in independents if v in number),
        dependents=tuple(number[key] for key, _ in dependents if key in number),
        edges=tuple(Edge(s, t, _kind(code, partials), partials) for s, t, partials in numbered),
    )


def _kind(code: Builder, partials: tuple[Atom, ...]) -> Kind:
    """The kind of an edge whose value is the sum of these partials."""
    if all(isinstance(atom, Const) for atom in partials):
        total = sum(atom.value for atom in partials if isinstance(atom, Const))
        return "unit" if abs(total) == 1 else "constant"
    if len(partials) == 1 and mask_values(code, partials[0]) is not None:
        return "mask"
    return "variable"
