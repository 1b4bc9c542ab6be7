"""A graph as text for other programs: the languages of Graphviz and of Mermaid."""

from __future__ import annotations

from gradgen.ir.graph import PartialKind
from gradgen.report.view import EdgeView, GraphView, Role, VertexView

_SHAPES: dict[Role, str] = {
    "input": 'shape=box, style="rounded,filled", color="#0969da", fillcolor="#ddf4ff"',
    "intermediate": 'shape=ellipse, style=filled, color="#8c959f", fillcolor="#f6f8fa"',
    "output": 'shape=box, style=filled, peripheries=2, color="#1a7f37", fillcolor="#dafbe1"',
}
_STROKES: dict[PartialKind, str] = {
    "variable": 'style=solid, color="#bc4c00"',
    "constant": 'style=dashed, color="#0969da"',
    "mask": 'style=dashed, color="#8250df", arrowhead=empty',
    "unit": 'style=dotted, color="#6e7781"',
}
_BRACKETS: dict[Role, tuple[str, str]] = {
    "input": ("(", ")"),
    "intermediate": ("((", "))"),
    "output": ("[[", "]]"),
}
_CLASSES: dict[Role, str] = {
    "input": "fill:#ddf4ff,stroke:#0969da,color:#0a3069",
    "intermediate": "fill:#f6f8fa,stroke:#8c959f,color:#24292f",
    "output": "fill:#dafbe1,stroke:#1a7f37,color:#044f1e",
}
_LINKS: dict[PartialKind, str] = {
    "variable": "stroke:#bc4c00",
    "constant": "stroke:#0969da,stroke-dasharray:7 4",
    "mask": "stroke:#8250df,stroke-dasharray:8 3 2 3",
    "unit": "stroke:#6e7781,stroke-dasharray:2 4",
}


def write_dot(view: GraphView) -> str:
    """The graph for Graphviz, inputs above outputs."""
    lines = ["digraph gradgen {", '  node [fontname="Helvetica", fontsize=12];']
    for v, vertex in enumerate(view.vertices):
        tooltip = _quoted(describe_vertex(vertex))
        shape = _SHAPES[vertex.role]
        lines.append(f"  v{v} [label={_quoted(vertex.label)}, {shape}, tooltip={tooltip}];")
    for rank, role in (("source", "input"), ("sink", "output")):
        same = " ".join(f"v{v};" for v, vertex in enumerate(view.vertices) if vertex.role == role)
        lines.append(f"  {{ rank={rank}; {same} }}")
    for edge in view.edges:
        tooltip = _quoted(describe_edge(view, edge))
        label = f", label={_quoted(edge.axes)}, fontsize=9" if edge.axes else ""
        lines.append(
            f"  v{edge.source} -> v{edge.target} [{_STROKES[edge.kind]}, tooltip={tooltip}{label}];"
        )
    return "\n".join([*lines, "}"])


def write_mermaid(view: GraphView) -> str:
    """The graph for Mermaid, as GitHub and many editors show it in Markdown."""
    lines = ["flowchart TD"]
    for v, vertex in enumerate(view.vertices):
        opening, closing = _BRACKETS[vertex.role]
        label = vertex.label.replace('"', "#quot;")
        lines.append(f'  v{v}{opening}"{label}"{closing}:::{vertex.role}')
    for edge in view.edges:
        label = f'|"{edge.axes.replace("<-", "←")}"|' if edge.axes else ""
        lines.append(f"  v{edge.source} -->{label} v{edge.target}")
    lines += [f"  classDef {role} {style}" for role, style in _CLASSES.items()]
    for kind, style in _LINKS.items():
        numbers = [str(k) for k, edge in enumerate(view.edges) if edge.kind == kind]
        if numbers:
            lines.append(f"  linkStyle {','.join(numbers)} {style}")
    return "\n".join(lines)


def describe_vertex(vertex: VertexView) -> str:
    """What a vertex is, in a line: its equation and where the source computes it."""
    return f"{vertex.role}: {vertex.equation or vertex.name}{_place(vertex)}"


def describe_edge(view: GraphView, edge: EdgeView) -> str:
    """What an edge carries, in a line, and where the source computes what it leads to."""
    value = f" = {edge.partial}" if edge.partial else ""
    value += f" [{edge.axes}]" if edge.axes else ""
    place = _place(view.vertices[edge.target])
    return f"{view.derivative(edge.source, edge.target)}{value} ({edge.kind}){place}"


def _place(vertex: VertexView) -> str:
    return "" if vertex.line is None else f", line {vertex.line}: {vertex.source}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
