"""The computational graph under vertex and edge elimination."""

from __future__ import annotations

from copy import copy

from gradgen.elimination.kinds import is_free, product_kind, sum_kind
from gradgen.ir.graph import LinearGraph, PartialKind
from gradgen.ir.plan import Plan, Step


class Accumulation:
    """A graph under elimination, and the products and sums taken so far.

    Between two vertices there is one edge at most: writing an edge means adding to it (Griewank and
    Walther, section 9.2).
    """

    def __init__(self, graph: LinearGraph) -> None:
        self._graph = graph
        self._steps: list[Step] = []
        # of the values by number
        self._kinds: list[PartialKind] = [edge.kind for edge in graph.edges]
        self._value: dict[tuple[int, int], int] = {}
        self._intermediates = frozenset(graph.intermediates)
        self.predecessors: list[set[int]] = [set() for _ in graph.vertices]
        self.successors: list[set[int]] = [set() for _ in graph.vertices]
        for value, edge in enumerate(graph.edges):
            self._write(edge.source, edge.target, value)

    def eliminate(self, vertex: int) -> None:
        """Eliminate an intermediate: front-eliminate every edge that leads into it."""
        for source in sorted(self.predecessors[vertex]):
            self.front(source, vertex)

    def front(self, source: int, target: int) -> None:
        """Front-eliminate an edge: c_k,source += c_k,target * c_target,source for all k.

        The edge goes, and with the last edge into its target that vertex goes (Griewank and
        Walther, section 9.3; Naumann 2004). The target must be an intermediate.
        """
        right = self._value[source, target]
        for k in sorted(self.successors[target]):
            self._write(source, k, self._multiply(self._value[target, k], right))
        self._remove(source, target)
        if not self.predecessors[target]:
            for k in tuple(self.successors[target]):
                self._remove(target, k)

    def back(self, source: int, target: int) -> None:
        """Back-eliminate an edge: c_target,i += c_target,source * c_source,i for all i.

        The edge goes, and with the last edge out of its source that vertex goes. The source must be
        an intermediate.
        """
        left = self._value[source, target]
        for i in sorted(self.predecessors[source]):
            self._write(i, target, self._multiply(left, self._value[i, source]))
        self._remove(source, target)
        if not self.successors[source]:
            for i in tuple(self.predecessors[source]):
                self._remove(i, source)

    def has(self, source: int, target: int) -> bool:
        """Whether there is an edge now."""
        return (source, target) in self._value

    def is_intermediate(self, vertex: int) -> bool:
        """Whether edges can be eliminated at a vertex."""
        return vertex in self._intermediates

    def remaining(self) -> tuple[int, ...]:
        """The intermediates that still have edges, in topological order."""
        return tuple(v for v in sorted(self._intermediates) if self.predecessors[v])

    def cost(self, vertex: int) -> int:
        """The multiplications (`muls`) that eliminating a vertex now would take."""
        return sum(self.front_cost(source, vertex) for source in self.predecessors[vertex])

    def front_cost(self, source: int, target: int) -> int:
        """The multiplications (`muls`) that front-eliminating an edge now would take."""
        right = self._value[source, target]
        return sum(self._price(self._value[target, k], right) for k in self.successors[target])

    def back_cost(self, source: int, target: int) -> int:
        """The multiplications (`muls`) that back-eliminating an edge now would take."""
        left = self._value[source, target]
        return sum(self._price(left, self._value[i, source]) for i in self.predecessors[source])

    def edge_kinds(self) -> dict[tuple[int, int], PartialKind]:
        """The edges that there are, by source and target, with their kinds."""
        return {ends: self._kinds[value] for ends, value in self._value.items()}

    def fork(self) -> Accumulation:
        """An independent copy, to go on from here in several ways."""
        other = copy(self)
        other._steps, other._kinds = self._steps.copy(), self._kinds.copy()
        other._value = self._value.copy()
        other.predecessors = [found.copy() for found in self.predecessors]
        other.successors = [found.copy() for found in self.successors]
        return other

    @property
    def taken(self) -> int:
        """How many products and sums were taken so far."""
        return len(self._steps)

    def plan(self) -> Plan:
        """The steps so far, and the entries that are on edges now."""
        entries = ((target, source, value) for (source, target), value in self._value.items())
        return Plan(self._graph, tuple(self._steps), tuple(sorted(entries)))

    def _write(self, source: int, target: int, value: int) -> None:
        """Add a value to an edge, which exists from then on."""
        present = self._value.get((source, target))
        if present is not None:
            kind = sum_kind(self._kinds[present], self._kinds[value])
            value = self._take("add", present, value, kind)
        self._value[source, target] = value
        self.successors[source].add(target)
        self.predecessors[target].add(source)

    def _remove(self, source: int, target: int) -> None:
        del self._value[source, target]
        self.successors[source].discard(target)
        self.predecessors[target].discard(source)

    def _multiply(self, left: int, right: int) -> int:
        kinds = self._kinds[left], self._kinds[right]
        return self._take("mul", left, right, product_kind(*kinds), is_free(*kinds))

    def _price(self, left: int, right: int) -> int:
        return int(not is_free(self._kinds[left], self._kinds[right]))

    def _take(self, op: str, left: int, right: int, kind: PartialKind, free: bool = False) -> int:
        """Take a product or a sum of two values; returns the number of the result."""
        value = len(self._kinds)
        self._kinds.append(kind)
        self._steps.append(Step(op, value, left, right, kind, free))
        return value
