"""What every kind of elimination writes down: products and sums of edge values."""

from __future__ import annotations

from collections.abc import Iterable
from copy import copy

from gradgen.elimination.kinds import is_free, product_kind, sum_kind
from gradgen.ir.graph import Kind, LinearGraph
from gradgen.ir.plan import Plan, Step


class OrderMismatchError(ValueError):
    """An order that belongs to another graph, or does not lead to the Jacobian."""


class Products:
    """The values of a graph's edges, and those computed from them so far, by number."""

    def __init__(self, graph: LinearGraph) -> None:
        self.kinds: list[Kind] = [edge.kind for edge in graph.edges]
        self._graph = graph
        self._steps: list[Step] = []

    def multiply(self, left: int, right: int) -> int:
        """The number of the product of two values."""
        kinds = self.kinds[left], self.kinds[right]
        return self._append("mul", left, right, product_kind(*kinds), is_free(*kinds))

    def add(self, left: int, right: int) -> int:
        """The number of the sum of two values."""
        return self._append("add", left, right, sum_kind(self.kinds[left], self.kinds[right]))

    def cost(self, left: int, right: int) -> int:
        """The multiplications (`muls`) that the product of two values takes: 0 or 1."""
        return int(not is_free(self.kinds[left], self.kinds[right]))

    def fork(self) -> Products:
        """An independent copy, to go on from here in several ways."""
        other = copy(self)
        other.kinds, other._steps = self.kinds.copy(), self._steps.copy()
        return other

    @property
    def taken(self) -> int:
        """How many products and sums there are so far."""
        return len(self._steps)

    def plan(self, entries: Iterable[tuple[int, int, int]]) -> Plan:
        """The steps so far, with the Jacobian's entries: dependent, independent, value."""
        return Plan(self._graph, tuple(self._steps), tuple(sorted(entries)))

    def _append(self, op: str, left: int, right: int, kind: Kind, free: bool = False) -> int:
        value = len(self.kinds)
        self.kinds.append(kind)
        self._steps.append(Step(op, value, left, right, kind, free))
        return value
