"""The computational graph of single numbers under elimination, with the steps taken so far."""

from __future__ import annotations

from collections.abc import Set
from copy import copy

from gradgen.elimination.joining import Edges, edges_of
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
        self._intermediates = frozenset(graph.intermediates)
        given = ((edge.source, edge.target, value) for value, edge in enumerate(graph.edges))
        self._edges: Edges[int] = edges_of(len(graph.vertices), given, self._add)

    def eliminate(self, vertex: int) -> None:
        """Eliminate an intermediate: join every edge into it with every edge out of it."""
        self._edges = self._edges.without(vertex, self._multiply, self._add)

    def front(self, source: int, target: int) -> None:
        """Front-eliminate an edge: c_k,source += c_k,target * c_target,source for all k.

        The edge goes, and with the last edge into its target that vertex goes (Griewank and
        Walther, section 9.3; Naumann 2004). The target must be an intermediate.
        """
        self._edges = self._edges.front(source, target, self._multiply, self._add)

    def back(self, source: int, target: int) -> None:
        """Back-eliminate an edge: c_target,i += c_target,source * c_source,i for all i.

        The edge goes, and with the last edge out of its source that vertex goes. The source must be
        an intermediate.
        """
        self._edges = self._edges.back(source, target, self._multiply, self._add)

    def predecessors(self, vertex: int) -> Set[int]:
        """Where edges into a vertex come from; nowhere, of one that is gone."""
        return self._edges.into.get(vertex, frozenset())

    def successors(self, vertex: int) -> Set[int]:
        """Where edges out of a vertex lead; nowhere, of one that is gone."""
        return self._edges.out.get(vertex, {}).keys()

    def has(self, source: int, target: int) -> bool:
        """Whether there is an edge now."""
        return source in self.predecessors(target)

    def is_intermediate(self, vertex: int) -> bool:
        """Whether edges can be eliminated at a vertex."""
        return vertex in self._intermediates

    def remaining(self) -> tuple[int, ...]:
        """The intermediates that still have edges, in topological order."""
        return tuple(v for v in sorted(self._intermediates) if self.predecessors(v))

    def cost(self, vertex: int) -> int:
        """The multiplications (`muls`) that eliminating a vertex now would take."""
        return sum(self._price(left, right) for left, right in self._edges.products(vertex))

    def front_cost(self, source: int, target: int) -> int:
        """The multiplications (`muls`) that front-eliminating an edge now would take."""
        (right,) = self._edges.out[source][target]
        return sum(self._price(left, right) for (left,) in self._edges.out[target].values())

    def back_cost(self, source: int, target: int) -> int:
        """The multiplications (`muls`) that back-eliminating an edge now would take."""
        ((left,), into) = self._edges.out[source][target], self._edges.into[source]
        return sum(self._price(left, *self._edges.out[k][source]) for k in into)

    def edge_kinds(self) -> dict[tuple[int, int], PartialKind]:
        """The edges that there are, by source and target, with their kinds."""
        return {ends: self._kinds[value] for ends, value in self._values().items()}

    def fork(self) -> Accumulation:
        """An independent copy, to go on from here in several ways."""
        other = copy(self)
        other._steps, other._kinds = self._steps.copy(), self._kinds.copy()
        return other

    @property
    def taken(self) -> int:
        """How many products and sums were taken so far."""
        return len(self._steps)

    def plan(self) -> Plan:
        """The steps so far, and the entries that are on edges now."""
        entries = ((target, source, value) for (source, target), value in self._values().items())
        return Plan(self._graph, tuple(self._steps), tuple(sorted(entries)))

    def _values(self) -> dict[tuple[int, int], int]:
        return {
            (source, target): value
            for source, targets in self._edges.out.items()
            for target, (value,) in targets.items()
        }

    def _multiply(self, left: int, right: int, *_: int) -> int:
        kinds = self._kinds[left], self._kinds[right]
        return self._take("mul", left, right, product_kind(*kinds), is_free(*kinds))

    def _add(self, one: int, other: int) -> int:
        return self._take("add", one, other, sum_kind(self._kinds[one], self._kinds[other]))

    def _price(self, left: int, right: int) -> int:
        return int(not is_free(self._kinds[left], self._kinds[right]))

    def _take(self, op: str, left: int, right: int, kind: PartialKind, free: bool = False) -> int:
        """Take a product or a sum of two values; returns the number of the result."""
        value = len(self._kinds)
        self._kinds.append(kind)
        self._steps.append(Step(op, value, left, right, kind, free))
        return value
