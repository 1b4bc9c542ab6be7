"""Vertex elimination on graphs of arrays: partials have patterns, products are contractions."""

from __future__ import annotations

from gradgen.elimination.array_edges import Edges, Vertex, edges_of
from gradgen.elimination.array_graphs import END, ArrayGraph, ends_of
from gradgen.elimination.array_table import applied_to_column, applied_to_row
from gradgen.ir.array_plan import Add, Apply, ArrayOrder, ArrayPlan, Multiply, Step
from gradgen.ir.array_trace import Operator, Partial
from gradgen.ir.code import Var
from gradgen.ir.patterns import Pattern, product, total
from gradgen.ir.shapes import Sizes

_Term = int | Operator
"""A value by number, or a linear map."""


def planned(graph: ArrayGraph, order: ArrayOrder, sizes: Sizes) -> ArrayPlan:
    """The steps of eliminating a graph's intermediates in an order, in which that is possible."""
    accumulation = _Accumulation(graph, sizes)
    for vertex in order.steps:
        accumulation.eliminate(vertex)
    return accumulation.plan(order)


class _Accumulation:
    """A graph under elimination, with the steps so far and what they take."""

    def __init__(self, graph: ArrayGraph, sizes: Sizes) -> None:
        self._graph, self._sizes = graph, sizes
        self._number = {v: k for k, v in enumerate(graph.vertices)}
        every = [(s, t, term) for s, t, terms in graph.edges for term in terms]
        self._partials = [term for _, _, term in every if isinstance(term, Partial)]
        self._patterns = [partial.pattern for partial in self._partials]
        self._steps: list[Step] = []
        self._complete: list[tuple[int, Var]] = []
        self._muls = self._adds = 0
        values = iter(range(len(self._partials)))
        self._edges: Edges[_Term] = edges_of(
            len(graph.vertices),
            (
                (
                    self._number[source],
                    self._number[target],
                    next(values) if isinstance(term, Partial) else term,
                )
                for source, target, term in every
            ),
            self._plus,
        )

    def eliminate(self, vertex: Var) -> None:
        """Join every edge into an intermediate with every edge out of it."""
        number = self._number[vertex]
        self._note_complete(number)
        self._edges = self._edges.without(number, self._times, self._plus)

    def plan(self, order: ArrayOrder) -> ArrayPlan:
        """The steps so far, and the values that are left."""
        return ArrayPlan(
            tuple(self._partials),
            tuple(self._steps),
            tuple(
                (target, source, self._left(target, source)) for target, source in self._graph.ends
            ),
            tuple(self._complete),
            self._muls,
            self._adds,
            order,
        )

    def _left(self, target: Var, source: Var) -> tuple[int, ...]:
        terms = self._edges.out[self._number[source]].get(self._number[target], ())
        assert not any(isinstance(term, Operator) for term in terms)
        return tuple(term for term in terms if isinstance(term, int))

    def _note_complete(self, vertex: Vertex) -> None:
        """Note if there is one vector left at a vertex: a cotangent, or a tangent."""
        if END not in self._number:
            return
        end = self._number[END]
        out, into = self._edges.out[vertex], self._edges.into[vertex]
        found: tuple[_Term, ...] = ()
        if set(out) == {end}:
            found = out[end]
        elif into == {end}:
            found = self._edges.out[end][vertex]
        if len(found) == 1 and isinstance(found[0], int):
            self._complete.append((found[0], self._graph.vertices[vertex]))

    def _times(self, left: _Term, right: _Term, middle: Vertex, target: Vertex) -> _Term:
        if isinstance(left, int) and isinstance(right, int):
            one, two = self._patterns[left], self._patterns[right]
            found = product(one, two)
            self._muls += found.multiplications(one, two, self._sizes)
            self._adds += found.additions(one, two, self._sizes)
            return self._take(Multiply(left, right, found), found.pattern)
        shapes, names = self._graph.shapes, self._graph.vertices
        if isinstance(left, int):
            assert isinstance(right, Operator)
            pattern = applied_to_row(self._patterns[left], shapes[right.source])
            applied, value = right.transposed, left
        else:
            assert isinstance(right, int)
            assert left.pushed is not None
            pattern = applied_to_column(left, self._patterns[right], shapes[names[target]])
            applied, value = left.pushed, right
        assert pattern is not None
        return self._take(Apply(applied, value, shapes[names[middle]], pattern), pattern)

    def _plus(self, one: _Term, other: _Term) -> _Term | None:
        if not isinstance(one, int) or not isinstance(other, int):
            return None
        pattern = total(self._patterns[one], self._patterns[other])
        return None if pattern is None else self._take(Add(one, other, pattern), pattern)

    def _take(self, step: Step, pattern: Pattern) -> int:
        self._steps.append(step)
        self._patterns.append(pattern)
        return len(self._patterns) - 1


def reverse(graph: ArrayGraph) -> ArrayOrder:
    """Backpropagation: intermediates in reverse topological order."""
    return ArrayOrder(tuple(reversed(graph.intermediates)), "reverse")


def forward(graph: ArrayGraph) -> ArrayOrder:
    """Forward mode: intermediates in topological order."""
    return ArrayOrder(graph.intermediates, "forward")


def from_both_ends(graph: ArrayGraph) -> ArrayOrder:
    """In reverse what only single numbers vary with, forward what varies with such alone, and in
    reverse what is left: so operators meet vectors wherever they can."""
    reversed_, pushed, left = [], [], []
    for vertex in graph.intermediates:
        sources, targets = ends_of(graph, vertex, vertex)
        if not any(graph.shapes[t] for t in targets):
            reversed_.append(vertex)
        elif not any(graph.shapes[s] for s in sources):
            pushed.append(vertex)
        else:
            left.append(vertex)
    return ArrayOrder((*reversed(reversed_), *pushed, *reversed(left)), "reverse and forward")
