"""The linearised computational graph: vertices, and edges that carry elemental partials."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from reprlib import repr as short
from typing import Literal, get_args

from gradgen.ir.code import Atom, Var
from gradgen.ir.json_files import array, flag, line, read_object, string
from gradgen.ir.steps import parse_edge_step

PartialKind = Literal["unit", "constant", "mask", "variable"]
"""Of a partial: +1 or -1; a number known when generating; 0 or +-1 at run time; anything else."""

Elimination = Literal["vertex", "edge"]
"""What is eliminated one after the other; by edges all can be done that can be by vertices."""

FACE = "face"
"""A third kind, which is no more; old orders and settings may name it."""

WEIGHTED = "weighted"
"""The vertex added for the weighted outputs or inputs of a vector product."""


@dataclass(frozen=True)
class Vertex:
    """A vertex by its stable name: a hash of the operation and its operands' names."""

    name: str
    alias: str
    """What people see, be it the user's name, an input's path, or the operation in brackets."""
    variable: Var = ""
    """The variable of the trace behind it; none for a dependent."""
    path: str = ""
    """Of the input, or of the output, that it stands for."""


@dataclass(frozen=True)
class Edge:
    """An edge from vertex `source` to vertex `target` that carries c_target,source."""

    source: int
    target: int
    kind: PartialKind
    partials: tuple[Atom, ...] = ()
    """Its value is their sum; more than one where an operation reads a vertex in several slots."""


@dataclass(frozen=True)
class LinearGraph:
    """Independents, intermediates and dependents, numbered topologically, without dead ends.

    Every intermediate lies on a path from an independent to a dependent (Griewank and Walther,
    *Evaluating Derivatives*, section 2.2). At most one edge joins two vertices.
    """

    vertices: tuple[Vertex, ...]
    independents: tuple[int, ...]
    dependents: tuple[int, ...]
    edges: tuple[Edge, ...]

    @property
    def intermediates(self) -> tuple[int, ...]:
        """The vertices to eliminate, in topological order."""
        ends = {*self.independents, *self.dependents}
        return tuple(v for v in range(len(self.vertices)) if v not in ends)

    def reach(self) -> dict[int, frozenset[int]]:
        """For each dependent, the independents from which a path leads to it."""
        reached: dict[int, frozenset[int]] = {v: frozenset((v,)) for v in self.independents}
        for edge in sorted(self.edges, key=lambda e: e.source):
            known = reached.get(edge.target, frozenset())
            reached[edge.target] = known | reached.get(edge.source, frozenset())
        return {v: reached.get(v, frozenset()) for v in self.dependents}

    @property
    def fingerprint(self) -> str:
        """Identifies the graph by its vertices' names, its edges and their kinds."""
        content = {
            "vertices": [vertex.name for vertex in self.vertices],
            "independents": self.independents,
            "dependents": self.dependents,
            "edges": sorted((e.source, e.target, e.kind) for e in self.edges),
        }
        text = json.dumps(content, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def check(self) -> None:
        """Raise ValueError if an edge is doubled, goes backwards, or a vertex is a dead end."""
        pairs = [(edge.source, edge.target) for edge in self.edges]
        if len(set(pairs)) != len(pairs):
            raise ValueError("two edges join the same vertices")
        if any(source >= target for source, target in pairs):
            raise ValueError("the vertices are not in topological order")
        sources, targets = {s for s, _ in pairs}, {t for _, t in pairs}
        for v in self.intermediates:
            if v not in sources or v not in targets:
                raise ValueError(f"intermediate {self.vertices[v].alias} is a dead end")
        names = [vertex.name for vertex in self.vertices]
        if len(set(names)) != len(names):
            raise ValueError("two vertices have the same name")
        if targets & set(self.independents) or sources & set(self.dependents):
            raise ValueError("an edge leads into an independent or out of a dependent")
        ends = [*self.independents, *self.dependents]
        if len(set(ends)) != len(ends):
            raise ValueError("a vertex is twice among the independents and dependents")

    def pretty(self) -> str:
        """Vertices and edges, one a line."""
        lines = [
            f"{len(self.independents)} independents, {len(self.intermediates)} intermediates, "
            f"{len(self.dependents)} dependents, {len(self.edges)} edges ({self.fingerprint})"
        ]
        for v, vertex in enumerate(self.vertices):
            role = "intermediate"
            if v in self.independents:
                role = "independent"
            elif v in self.dependents:
                role = "dependent"
            lines.append(f"  {v}: {vertex.alias} [{vertex.name}] {role}")
        for edge in self.edges:
            source, target = self.vertices[edge.source].alias, self.vertices[edge.target].alias
            lines.append(f"  {edge.source} -> {edge.target}: {source} -> {target} ({edge.kind})")
        return "\n".join(lines)


class FaceOrderError(ValueError):
    """An order of faces, which nothing eliminates any more."""


@dataclass(frozen=True)
class Order:
    """In which order to eliminate: small, by stable names, replayable."""

    elimination: Elimination
    fingerprint: str
    steps: tuple[str, ...]
    """Vertices or edges, named as `gradgen.ir.steps` says."""
    found_by: str
    proved_optimal: bool = False

    def check(self) -> None:
        """Raise ValueError if a step is malformed, or a vertex is eliminated twice.

        An edge may be eliminated more than once, because elimination can bring it back. Of an order
        of faces, as older files hold them, the error is a FaceOrderError.
        """
        if self.elimination == FACE:
            raise FaceOrderError("an order of faces")
        if self.elimination not in get_args(Elimination):
            raise ValueError(f"unknown elimination {short(self.elimination)}")
        if not all(isinstance(step, str) for step in self.steps):
            raise ValueError("a step is not a string")
        if self.elimination == "edge":
            for step in self.steps:
                parse_edge_step(step)
        elif len(set(self.steps)) != len(self.steps):
            raise ValueError("a vertex is eliminated twice")

    def pretty(self) -> str:
        """The steps on a few lines."""
        proof = ", proved optimal" if self.proved_optimal else ""
        return f"{self.elimination} elimination, {self.found_by}{proof}\n  " + "\n  ".join(
            self.steps
        )

    def to_json(self) -> str:
        """As it is stored: an object with the keys of this class."""
        return json.dumps(
            {
                "elimination": self.elimination,
                "fingerprint": self.fingerprint,
                "steps": list(self.steps),
                "found_by": self.found_by,
                "proved_optimal": self.proved_optimal,
            },
            indent=1,
        )

    @staticmethod
    def from_json(text: str) -> Order:
        """Read a stored order; raises ValueError if it is not one."""
        data = read_object(text, [field.name for field in fields(Order)])
        order = Order(
            data["elimination"],
            line(data["fingerprint"], "fingerprint"),
            tuple(string(step, "steps") for step in array(data["steps"], "steps")),
            line(data["found_by"], "found_by"),
            flag(data["proved_optimal"], "proved_optimal"),
        )
        order.check()
        return order

    @staticmethod
    def with_loops_from_json(text: str) -> tuple[Order, ...]:
        """Read a stored order, and those of the steps of loops that are stored with it; raises
        ValueError if it is none."""
        loops = read_object(text, ()).get("loops", {})
        if not isinstance(loops, dict):
            raise ValueError("loops: these are no orders by name")
        return tuple(map(Order.from_json, (text, *map(json.dumps, loops.values()))))
