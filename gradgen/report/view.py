"""A computational graph as people look at it: labels, source lines, partials in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gradgen.ir.code import Var
from gradgen.ir.graph import LinearGraph, PartialKind
from gradgen.report.wording import Wording

Role = Literal["input", "intermediate", "output"]

_SIGNS = {
    "mul": "×",  # noqa: RUF001
    "add": "+",
    "sub": "−",  # noqa: RUF001
    "div": "÷",
    "neg": "−",  # noqa: RUF001
    "pow": "^",
    "integer_pow": "^",
    "einsum": "@",
    "reduce_sum": "Σ",
}


@dataclass(frozen=True)
class VertexView:
    """A vertex; its number is its place in the graph."""

    label: str
    """The user's name, or the sign of an operation without a name."""
    name: str
    """How it is referred to in text: in the words of the generated code."""
    role: Role
    line: int | None
    """Of the source."""
    source: str
    """What stands on that line."""
    equation: str
    """How it is computed; empty where that is not known."""


@dataclass(frozen=True)
class EdgeView:
    """An edge with its elemental partial."""

    source: int
    target: int
    kind: PartialKind
    partial: str
    """Its value as an expression; empty where that is not known."""
    axes: str = ""
    """On arrays, which axes of the target hang on which of the source."""


@dataclass(frozen=True)
class GraphView:
    """A graph ready to be drawn."""

    vertices: tuple[VertexView, ...]
    edges: tuple[EdgeView, ...]

    def derivative(self, source: int, target: int) -> str:
        """`∂v/∂u` for an edge from u to v."""
        above, below = (
            f"({name})" if " " in name else name
            for name in (self.vertices[target].name, self.vertices[source].name)
        )
        return f"∂{above}/∂{below}"


def vertex_variables(graph: LinearGraph, wording: Wording) -> dict[int, Var]:
    """The variable of the program behind each vertex, where there is one."""
    traced = _traced(graph, wording)
    return {v: wording.aliases[atom] for v, atom in traced.items() if atom in wording.aliases}


def vertex_lines(graph: LinearGraph, wording: Wording) -> dict[int, int]:
    """The line of the source that computes each vertex, where that is known."""
    lines = {label.variable: label.line for label in wording.trace.labels}
    found = {v: lines.get(variable) for v, variable in _traced(graph, wording).items()}
    return {v: line for v, line in found.items() if line is not None}


def _traced(graph: LinearGraph, wording: Wording) -> dict[int, Var]:
    """The variable of the trace behind each vertex, an output's value among them."""
    outputs = {o.path: o.atom for o in wording.trace.outputs}
    atoms = [
        outputs[vertex.path] if v in graph.dependents else vertex.variable
        for v, vertex in enumerate(graph.vertices)
    ]
    return {v: atom for v, atom in enumerate(atoms) if isinstance(atom, str)}


def view_graph(graph: LinearGraph, wording: Wording | None = None, source: str = "") -> GraphView:
    """The graph in words; without a wording, in the names that it has by itself.

    `source` is the text that it was made from.
    """
    if wording is None:
        return GraphView(
            tuple(
                VertexView(label_of(vertex.alias), vertex.alias, _role(graph, v), None, "", "")
                for v, vertex in enumerate(graph.vertices)
            ),
            tuple(EdgeView(e.source, e.target, e.kind, "") for e in graph.edges),
        )
    variables = vertex_variables(graph, wording)
    names = _names(graph, wording, variables)
    equations = wording.equations(variables.values())
    lines, text = vertex_lines(graph, wording), source_lines(source)
    return GraphView(
        tuple(
            VertexView(
                label=label_of(vertex.alias),
                name=names[v],
                role=_role(graph, v),
                line=lines.get(v),
                source=text[lines[v] - 1].strip() if v in lines else "",
                equation=equations.get(variables.get(v, ""), ""),
            )
            for v, vertex in enumerate(graph.vertices)
        ),
        tuple(
            EdgeView(e.source, e.target, e.kind, wording.partial(e.partials, equations))
            for e in graph.edges
        ),
    )


def source_lines(text: str) -> list[str]:
    """The lines as Python counts them: a form feed ends none."""
    return re.split(r"\r\n|\r|\n", text)


def _names(graph: LinearGraph, wording: Wording, variables: Mapping[int, Var]) -> tuple[str, ...]:
    """Those of the text; an output whose value has a vertex of its own besides is `out v`."""
    names = []
    taken = set()
    for v, vertex in enumerate(graph.vertices):
        name = wording.names[variables[v]] if v in variables else vertex.alias
        names.append(f"out {name}" if name in taken else name)
        taken.add(name)
    return tuple(names)


def _role(graph: LinearGraph, v: int) -> Role:
    if v in graph.independents:
        return "input"
    return "output" if v in graph.dependents else "intermediate"


def label_of(alias: str) -> str:
    """The user's name, or the sign of an operation that stands in brackets."""
    if not alias.startswith("("):
        return alias
    operation = alias.strip("()")
    return _SIGNS.get(operation, operation)
