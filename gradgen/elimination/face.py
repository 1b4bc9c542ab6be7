"""Face elimination on the line graph (Naumann 2004, Mathematical Programming 99, 399-421).

The vertices of the line graph are the edges of the computational graph, and its edges, the faces,
join an edge to each one that follows it. Eliminating a face multiplies the two values. The product
is a new line-graph vertex that has the predecessors of the one and the successors of the other. Two
line-graph vertices with the same predecessors and the same successors are one: their values are
added (absorption). One that leads nowhere, or that nothing leads to, goes. In the end the line
graph has no faces, and its vertices are the entries of the Jacobian.

A product of a row of faces does not touch other paths over the same edge, which is what front and
back elimination of edges cannot avoid.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy
from dataclasses import replace

from gradgen.elimination.edge import as_edge_order, eliminate_edges
from gradgen.elimination.products import OrderMismatchError, Products
from gradgen.ir.graph import Kind, LinearGraph, Order
from gradgen.ir.plan import Plan
from gradgen.ir.steps import FaceStep, Path, abbreviate, parse_edge_step, parse_face_step


class LineGraph:
    """A line graph under face elimination, and the products and sums taken so far.

    Line-graph vertices have numbers: those of the graph's edges first, and one more for each
    product that no vertex absorbs. Of two that become one the smaller number stays. The sets of
    predecessors of edges out of an independent v hold -1 - v alone, a stand-in for what feeds it;
    the same for the successors of edges into a dependent.
    """

    def __init__(self, graph: LinearGraph) -> None:
        self._products = Products(graph)
        self._names = [vertex.name for vertex in graph.vertices]
        self._value: dict[int, int] = {}
        self._at: dict[tuple[int, int], set[int]] = {}
        self._count = len(graph.edges)
        self.ends: dict[int, tuple[int, int]] = {}
        """(source, target) of each line-graph vertex that is left."""
        self.path: dict[int, Path] = {}
        """The shortest path that each of them contracted."""
        self.by_path: dict[Path, int] = {}
        """Each of them by its path, abbreviated as in steps."""
        self.predecessors: dict[int, set[int]] = {}
        self.successors: dict[int, set[int]] = {}
        into: dict[int, set[int]] = {v: {-1 - v} for v in graph.independents}
        out_of: dict[int, set[int]] = {v: {-1 - v} for v in graph.dependents}
        for number, edge in enumerate(graph.edges):
            into.setdefault(edge.target, set()).add(number)
            out_of.setdefault(edge.source, set()).add(number)
        for number, edge in enumerate(graph.edges):
            path = self._names[edge.source], self._names[edge.target]
            ends = edge.source, edge.target
            self._insert(number, number, ends, path, into[edge.source], out_of[edge.target])

    def eliminate(self, left: int, right: int) -> None:
        """Eliminate the face between two line-graph vertices, of which `left` comes first."""
        product = self._products.multiply(self._value[right], self._value[left])
        ends = self.ends[left][0], self.ends[right][1]
        path = self.path[left] + self.path[right][1:]
        before, after = self.predecessors[left], self.successors[right]
        twin = self._twin(ends, before, after)
        if twin is None:
            self._insert(self._count, product, ends, path, before, after)
            self._count += 1
        else:
            self._absorb(twin, product, path)
        self.successors[left].discard(right)
        self.predecessors[right].discard(left)
        self._tidy({left, right})

    def faces(self) -> list[tuple[int, int]]:
        """All faces, by the numbers of their line-graph vertices."""
        return [
            (left, right)
            for left in sorted(self.successors)
            for right in sorted(self.successors[left])
            if right >= 0
        ]

    def face_cost(self, left: int, right: int) -> int:
        """The multiplications (`muls`) that eliminating a face now would take."""
        return self._products.cost(self._value[right], self._value[left])

    def is_absorbed(self, left: int, right: int) -> bool:
        """Whether eliminating a face now adds to a line-graph vertex that there is."""
        ends = self.ends[left][0], self.ends[right][1]
        return self._twin(ends, self.predecessors[left], self.successors[right]) is not None

    def between(self, source: int, target: int) -> list[int]:
        """The line-graph vertices that join two vertices of the computational graph."""
        return sorted(self._at.get((source, target), ()))

    def name(self, left: int, right: int) -> str:
        """The step that eliminates a face."""
        return str(FaceStep(abbreviate(self.path[left]), abbreviate(self.path[right])))

    def vertex_kinds(self) -> dict[int, Kind]:
        """The line-graph vertices that are left, with the kinds of their values."""
        return {number: self._products.kinds[value] for number, value in self._value.items()}

    def fork(self) -> LineGraph:
        """An independent copy, to go on from here in several ways."""
        other = copy(self)
        other._products, other._value = self._products.fork(), self._value.copy()
        other._at = {ends: found.copy() for ends, found in self._at.items()}
        other.ends, other.path = self.ends.copy(), self.path.copy()
        other.by_path = self.by_path.copy()
        other.predecessors = {n: found.copy() for n, found in self.predecessors.items()}
        other.successors = {n: found.copy() for n, found in self.successors.items()}
        return other

    @property
    def taken(self) -> int:
        """How many products and sums were taken so far."""
        return self._products.taken

    def plan(self) -> Plan:
        """The steps so far, and the values that are left as entries."""
        return self._products.plan(
            (self.ends[number][1], self.ends[number][0], value)
            for number, value in self._value.items()
        )

    def _insert(
        self,
        number: int,
        value: int,
        ends: tuple[int, int],
        path: Path,
        before: Iterable[int],
        after: Iterable[int],
    ) -> None:
        self._value[number] = value
        self.ends[number] = ends
        self.path[number] = path
        self.by_path[abbreviate(path)] = number
        self._at.setdefault(ends, set()).add(number)
        self.predecessors[number] = set(before)
        self.successors[number] = set(after)
        for other in self.predecessors[number]:
            if other in self.successors:
                self.successors[other].add(number)
        for other in self.successors[number]:
            if other in self.predecessors:
                self.predecessors[other].add(number)

    def _remove(self, number: int) -> set[int]:
        """Take a line-graph vertex away; returns those that it was adjacent to."""
        neighbours = set()
        for other in self.predecessors.pop(number):
            if other >= 0:
                self.successors[other].discard(number)
                neighbours.add(other)
        for other in self.successors.pop(number):
            if other >= 0:
                self.predecessors[other].discard(number)
                neighbours.add(other)
        self._at[self.ends.pop(number)].discard(number)
        del self.by_path[abbreviate(self.path.pop(number))]
        del self._value[number]
        return neighbours

    def _absorb(self, number: int, value: int, path: Path) -> None:
        """Add a value to a line-graph vertex, and its path to those that this one contracted."""
        self._value[number] = self._products.add(self._value[number], value)
        shorter = min(self.path[number], path, key=lambda p: (len(p), p))
        del self.by_path[abbreviate(self.path[number])]
        self.path[number] = shorter
        self.by_path[abbreviate(shorter)] = number

    def _tidy(self, changed: set[int]) -> None:
        """Remove what lies on no path any more, and merge what has become the same."""
        while changed:
            number = min(changed)
            changed.discard(number)
            if number not in self._value:
                continue
            before, after = self.predecessors[number], self.successors[number]
            if not before or not after:
                changed |= self._remove(number)
                continue
            twin = self._twin(self.ends[number], before, after, other_than=number)
            if twin is not None:
                keep, drop = sorted((number, twin))
                value, path = self._value[drop], self.path[drop]
                changed |= self._remove(drop)
                self._absorb(keep, value, path)

    def _twin(
        self, ends: tuple[int, int], before: set[int], after: set[int], other_than: int = -1
    ) -> int | None:
        """A line-graph vertex with these predecessors and successors, which fix its ends."""
        for other in sorted(self._at.get(ends, ())):
            same = self.predecessors[other] == before and self.successors[other] == after
            if same and other != other_than:
                return other
        return None


def eliminate_faces(graph: LinearGraph, order: Order) -> Plan:
    """Eliminate faces in order, until there is none.

    Raises OrderMismatchError for a step whose face is not there when its turn comes, and for an
    order that leaves a face.
    """
    elimination = LineGraph(graph)
    for text in order.steps:
        take_face_step(elimination, text)
    faces = elimination.faces()
    if faces:
        raise OrderMismatchError(f"the order leaves the face {elimination.name(*faces[0])!r}")
    return elimination.plan()


def take_face_step(elimination: LineGraph, text: str) -> None:
    """Take one step; raises OrderMismatchError if its face is not there now."""
    elimination.eliminate(*_resolve(elimination, text))


def as_face_order(graph: LinearGraph, order: Order) -> Order:
    """A vertex or edge order as a face order with the same products; a face order as it is.

    An edge is eliminated by the elimination of all faces at its target or its source. Raises
    OrderMismatchError if the order is for another graph.
    """
    if order.elimination == "face":
        return order
    edge_order = as_edge_order(graph, order)
    eliminate_edges(graph, edge_order)
    elimination = LineGraph(graph)
    number = {vertex.name: v for v, vertex in enumerate(graph.vertices)}
    steps = []
    for step in map(parse_edge_step, edge_order.steps):
        # between whole edge eliminations an edge of the graph is one vertex of the line graph
        (edge,) = elimination.between(number[step.source], number[step.target])
        if step.direction == "front":
            faces = [(edge, k) for k in elimination.successors[edge]]
            faces.sort(key=lambda face: elimination.ends[face[1]][1])
        else:
            faces = [(i, edge) for i in elimination.predecessors[edge]]
            faces.sort(key=lambda face: elimination.ends[face[0]][0])
        for face in faces:
            steps.append(elimination.name(*face))
            elimination.eliminate(*face)
    return replace(order, elimination="face", steps=tuple(steps), proved_optimal=False)


def _resolve(elimination: LineGraph, text: str) -> tuple[int, int]:
    """The face that a step names; raises OrderMismatchError if there is none now."""
    try:
        step = parse_face_step(text)
    except ValueError as error:
        raise OrderMismatchError(str(error)) from None
    left, right = (elimination.by_path.get(path) for path in step)
    if left is None or right is None or right not in elimination.successors[left]:
        raise OrderMismatchError(f"there is no face for the step {text!r} when its turn comes")
    return left, right
