"""Graphs as JSON files.

`independents` is the number of inputs, which are the vertices 0 to independents - 1; the others
follow in topological order. `dependents` lists the outputs, and every other vertex is to be
eliminated. `edges` holds `[source, target, kind]`. `names` and `aliases`, a string for each vertex,
are optional; an order found for a named graph can be replayed on the function it was made from.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from reprlib import repr as short
from typing import Any, get_args

from gradgen.ir.graph import Edge, LinearGraph, PartialKind, Vertex
from gradgen.ir.json_files import array, number, read_object, string

MOST_VERTICES = 100_000


def write_graph(graph: LinearGraph) -> str:
    """The graph as the text of a file; its independents must come first, as in a linearised one."""
    if graph.independents != tuple(range(len(graph.independents))):
        raise ValueError("the independents are not the first vertices")
    content = {
        "independents": len(graph.independents),
        "dependents": graph.dependents,
        "names": [vertex.name for vertex in graph.vertices],
        "aliases": [vertex.alias for vertex in graph.vertices],
        "edges": [[edge.source, edge.target, edge.kind] for edge in graph.edges],
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
    return "{\n" + ",\n".join(lines) + "\n}\n"


def read_graph(text: str) -> LinearGraph:
    """Read a file's text; raises ValueError, saying what is wrong, if it is not a graph."""
    data = read_object(text, ("independents", "dependents", "edges"))
    edges = tuple(_edge(item) for item in array(data["edges"], "edges"))
    independents = number(data["independents"], "independents")
    dependents = tuple(number(v, "dependents") for v in array(data["dependents"], "dependents"))
    ends = [v for edge in edges for v in (edge.source, edge.target)]
    count = max([*ends, *dependents, independents - 1], default=-1) + 1
    if count > MOST_VERTICES:
        raise ValueError(f"there are {count:,} vertices, and at most {MOST_VERTICES:,} are read")
    names = _strings(data, "names", [f"v{v}" for v in range(count)])
    aliases = _strings(data, "aliases", names)
    graph = LinearGraph(
        vertices=tuple(Vertex(*pair) for pair in zip(names, aliases, strict=True)),
        independents=tuple(range(independents)),
        dependents=dependents,
        edges=tuple(sorted(edges, key=lambda edge: (edge.source, edge.target))),
    )
    graph.check()
    return graph


def _edge(item: Any) -> Edge:
    if not isinstance(item, list) or len(item) != 3 or item[2] not in get_args(PartialKind):
        kinds = ", ".join(get_args(PartialKind))
        raise ValueError(f"{short(item)} is no edge: [source, target, kind], kind one of {kinds}")
    return Edge(number(item[0], "a source"), number(item[1], "a target"), item[2])


def _strings(data: dict[str, Any], key: str, default: Sequence[str]) -> list[str]:
    found = [string(name, key) for name in array(data.get(key, list(default)), key)]
    if len(found) != len(default):
        raise ValueError(f"{key} holds a text for each of the {len(default)} vertices")
    return found
