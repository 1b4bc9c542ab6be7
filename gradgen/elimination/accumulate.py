"""The one engine that turns a graph and an order into a plan."""

from __future__ import annotations

from gradgen.elimination.kinds import is_free, product_kind, sum_kind
from gradgen.ir.graph import Kind, LinearGraph, Order
from gradgen.ir.plan import Plan, Step


class OrderMismatchError(ValueError):
    """An order that belongs to another graph."""


def accumulate(graph: LinearGraph, order: Order) -> Plan:
    """Eliminate the vertices in order; what is left is the Jacobian.

    Eliminating j joins each predecessor i to each successor k: c_ki += c_kj * c_ji. Writing an edge
    always means adding to it (Griewank and Walther, section 9.2).

    Raises OrderMismatchError unless the order names each intermediate exactly once.
    """
    elimination = Accumulation(graph)
    for vertex in resolve(graph, order):
        elimination.eliminate(vertex)
    return elimination.plan()


def resolve(graph: LinearGraph, order: Order) -> tuple[int, ...]:
    """The order's vertices by number; raises OrderMismatchError if it is for another graph."""
    number = {vertex.name: v for v, vertex in enumerate(graph.vertices)}
    unknown = [name for name in order.steps if name not in number]
    if unknown:
        raise OrderMismatchError(f"the order names {unknown[0]!r}, which is not in the graph")
    steps = tuple(number[name] for name in order.steps)
    if sorted(steps) != sorted(graph.intermediates):
        missing = set(graph.intermediates) - set(steps)
        what = (
            f"leaves out {graph.vertices[min(missing)].alias!r}"
            if missing
            else "eliminates a vertex that is no intermediate"
        )
        raise OrderMismatchError(f"the order {what}")
    return steps


class Accumulation:
    """A graph under elimination, and the steps taken so far."""

    def __init__(self, graph: LinearGraph) -> None:
        self._graph = graph
        self._value: dict[tuple[int, int], int] = {}
        self._kind: list[Kind] = []
        self._steps: list[Step] = []
        self.predecessors: list[set[int]] = [set() for _ in graph.vertices]
        self.successors: list[set[int]] = [set() for _ in graph.vertices]
        for edge in graph.edges:
            self._write(edge.source, edge.target, self._new(edge.kind))

    def eliminate(self, vertex: int) -> None:
        """Eliminate an intermediate."""
        for source in sorted(self.predecessors[vertex]):
            for target in sorted(self.successors[vertex]):
                left = self._value[vertex, target]
                right = self._value[source, vertex]
                kinds = self._kind[left], self._kind[right]
                product = self._step("mul", left, right, product_kind(*kinds), is_free(*kinds))
                self._write(source, target, product)
        for source in self.predecessors[vertex]:
            self.successors[source].discard(vertex)
            del self._value[source, vertex]
        for target in self.successors[vertex]:
            self.predecessors[target].discard(vertex)
            del self._value[vertex, target]
        self.predecessors[vertex].clear()
        self.successors[vertex].clear()

    def cost(self, vertex: int) -> int:
        """The multiplications (`muls`) that eliminating a vertex now would take."""
        incoming = [self._kind[self._value[s, vertex]] for s in self.predecessors[vertex]]
        outgoing = [self._kind[self._value[vertex, t]] for t in self.successors[vertex]]
        return sum(not is_free(a, b) for a in outgoing for b in incoming)

    def plan(self) -> Plan:
        """The steps so far, and the entries that are on edges now."""
        entries = tuple((target, source, value) for (source, target), value in self._value.items())
        return Plan(self._graph, tuple(self._steps), tuple(sorted(entries)))

    def _new(self, kind: Kind) -> int:
        self._kind.append(kind)
        return len(self._kind) - 1

    def _step(self, op: str, left: int, right: int, kind: Kind, free: bool = False) -> int:
        value = self._new(kind)
        self._steps.append(Step(op, value, left, right, kind, free))
        return value

    def _write(self, source: int, target: int, value: int) -> None:
        """Add a value to an edge, which exists from then on."""
        present = self._value.get((source, target))
        if present is not None:
            kind = sum_kind(self._kind[present], self._kind[value])
            value = self._step("add", present, value, kind)
        self._value[source, target] = value
        self.successors[source].add(target)
        self.predecessors[target].add(source)
