"""Vertex elimination on graphs of arrays: partials have patterns, products are contractions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gradgen.elimination.array_costs import EdgeValue, crossing, crossing_map, peak_of
from gradgen.elimination.array_graphs import (
    END,
    ArrayGraph,
    ends_of,
    weighted_inputs,
    weighted_outputs,
)
from gradgen.elimination.array_table import applied_counts, applied_to_column, applied_to_row
from gradgen.elimination.joining import Edges, Vertex, edges_of
from gradgen.ir.array_plan import (
    Add,
    Apply,
    ArrayPlan,
    Multiply,
    Step,
    StepPlan,
    Through,
    tip,
    weight_of,
)
from gradgen.ir.array_trace import ArrayTrace, Operator, Partial, Passed
from gradgen.ir.code import Var
from gradgen.ir.graph import Order
from gradgen.ir.patterns import Pattern, product, total, vector
from gradgen.ir.shapes import Sizes, size


@dataclass(frozen=True)
class _Met:
    """Vectors that have met a loop: which of its results or operands each belongs to."""

    vectors: tuple[tuple[int, int], ...]


_Term = int | Operator | Passed | _Met
"""A value by number, a linear map, or what has to do with a loop."""

Planning = Callable[[ArrayGraph, Sizes], ArrayPlan]
"""How the graph of one step of a loop is eliminated."""


def planned(
    graph: ArrayGraph, order: Order, sizes: Sizes, of_steps: Planning | None = None
) -> ArrayPlan:
    """The steps of eliminating a graph's intermediates in an order, in which that is possible.

    `of_steps` plans one step of each loop, where there are loops. Raises OrderMismatchError for an
    order of another graph.
    """
    accumulation = ArrayAccumulation(graph, sizes, of_steps)
    for vertex in graph.steps(order):
        accumulation.eliminate(vertex)
    return accumulation.plan(order)


class ArrayAccumulation:
    """A graph under elimination, with the steps so far and what they take."""

    def __init__(self, graph: ArrayGraph, sizes: Sizes, of_steps: Planning | None) -> None:
        """`of_steps` plans one step of each loop, where there are loops."""
        self._graph, self._sizes, self._of_steps = graph, sizes, of_steps
        self._number = {v: k for k, v in enumerate(graph.vertices)}
        every = [(s, t, term) for s, t, terms in graph.edges for term in terms]
        self._partials = [term for _, _, term in every if isinstance(term, Partial)]
        self._values = [
            EdgeValue(term.pattern, END in (s, t))
            for s, t, term in every
            if isinstance(term, Partial)
        ]
        self._steps: list[Step] = []
        self._eliminated: list[Var] = []
        self._now = ""
        self._complete: list[tuple[int, Var]] = []
        self._muls = self._adds = self._crossing = 0
        self._loops: dict[Var, StepPlan] = {}
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
        number, self._now = self._number[vertex], vertex
        if vertex in self._graph.loops:
            self._gather(vertex)
        else:
            self._note_complete(number)
        self._edges = self._edges.without(number, self._times, self._plus)

    @property
    def muls(self) -> int:
        """The multiplications so far."""
        return self._muls

    def edges(self) -> dict[tuple[Vertex, Vertex], tuple[Pattern | None, ...]]:
        """The edges that there are, by the places of their ends, with the patterns of their terms;
        a linear map that is applied has none."""
        return {
            (source, target): tuple(
                self._values[term].pattern if isinstance(term, int) else None for term in terms
            )
            for source, targets in self._edges.out.items()
            for target, terms in targets.items()
        }

    def _gather(self, loop: Var) -> None:
        """Join the vectors that have met a loop, which pass it at once; and plan its steps."""
        number, end = self._number[loop], self._number[END]
        out = dict(self._edges.out)
        backward = set(out[number]) == {end}
        source, target = (number, end) if backward else (end, number)
        met = [term for term in out[source][target] if isinstance(term, _Met)]
        together = _Met(tuple(sorted(vector for term in met for vector in term.vectors)))
        out[source] = {**out[source], target: (together,)}
        self._edges = Edges(out, self._edges.into)
        length, trace = self._graph.loops[loop]
        assert self._of_steps is not None
        given = [k for k, _ in together.vectors]
        found = _steps(trace, loop, given, self._sizes, self._of_steps, backward=backward)
        self._loops[loop] = found
        times = size(length, self._sizes)
        self._muls += times * found.plan.muls
        self._adds += times * found.plan.adds
        self._crossing += times * found.plan.locality

    def plan(self, order: Order) -> ArrayPlan:
        """The steps so far, and the values that are left."""
        results = tuple(
            (target, source, self._left(target, source)) for target, source in self._graph.ends
        )
        steps, eliminated = tuple(self._steps), tuple(self._eliminated)
        kept = tuple(value for _, _, values in results for value in values)
        patterns = tuple(partial.pattern for partial in self._partials)
        return ArrayPlan(
            tuple(self._partials),
            steps,
            eliminated,
            results,
            tuple(self._complete),
            self._muls,
            self._adds,
            peak_of(patterns, steps, eliminated, kept, self._sizes),
            self._crossing,
            order,
        )

    def _left(self, target: Var, source: Var) -> tuple[int, ...]:
        terms = self._edges.out[self._number[source]].get(self._number[target], ())
        assert all(isinstance(term, int) for term in terms)
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
            one, two = self._values[left], self._values[right]
            found = product(one.pattern, two.pattern)
            self._muls += found.multiplications(one.pattern, two.pattern, self._sizes)
            self._adds += found.additions(one.pattern, two.pattern, self._sizes)
            self._crossing += crossing(one, two, self._sizes)
            met = EdgeValue(found.pattern, one.is_vector or two.is_vector)
            return self._take(Multiply(left, right, found), met)
        shapes, names = self._graph.shapes, self._graph.vertices
        if isinstance(right, Passed) and isinstance(left, _Met):
            return self._through(names[middle], left, right, vector(shapes[right.source]))
        if isinstance(left, Passed) and isinstance(right, _Met):
            tangent = vector(shapes[names[target]], rows=True)
            return self._through(names[middle], right, left, tangent)
        if isinstance(right, Passed):
            assert isinstance(left, int)
            assert names[target] == END
            return _Met(((right.index, left),))
        if isinstance(left, Passed):
            assert isinstance(right, int)
            return _Met(((left.index, right),))
        if isinstance(left, int):
            assert isinstance(right, Operator)
            pattern = applied_to_row(self._values[left].pattern, shapes[right.source])
            operator, applied, number = right, right.transposed, left
        else:
            assert isinstance(right, int)
            assert isinstance(left, Operator)
            assert left.pushed is not None
            pattern = applied_to_column(left, self._values[right].pattern, shapes[names[target]])
            operator, applied, number = left, left.pushed, right
        assert pattern is not None
        value = self._values[number]
        self._crossing += crossing_map(operator, value.pattern, self._sizes)
        argument = shapes[names[middle]]
        muls, adds = applied_counts(applied, argument, shapes, self._sizes)
        self._muls, self._adds = self._muls + muls, self._adds + adds
        apply = Apply(applied, number, argument, pattern)
        return self._take(apply, replace(value, pattern=pattern))

    def _through(self, loop: Var, met: _Met, wanted: Passed, pattern: Pattern) -> int:
        through = Through(loop, met.vectors, wanted.index, self._loops[loop], pattern)
        return self._take(through, EdgeValue(pattern, is_vector=True))

    def _plus(self, one: _Term, other: _Term) -> _Term | None:
        if isinstance(one, _Met) and isinstance(other, _Met):
            ((index, value),), ((place, more),) = one.vectors, other.vectors
            added = self._plus(value, more) if index == place else None
            return None if added is None else _Met(((index, added),))  # type: ignore[arg-type]
        if not isinstance(one, int) or not isinstance(other, int):
            return None
        left, right = self._values[one], self._values[other]
        pattern = total(left.pattern, right.pattern)
        if pattern is None:
            return None
        return self._take(Add(one, other, pattern), replace(left, pattern=pattern))

    def _take(self, step: Step, value: EdgeValue) -> int:
        self._steps.append(step)
        self._eliminated.append(self._now)
        self._values.append(value)
        return len(self._values) - 1


def _steps(
    trace: ArrayTrace,
    loop: Var,
    given: Sequence[int],
    sizes: Sizes,
    planning: Planning,
    *,
    backward: bool,
) -> StepPlan:
    """How the steps of a loop are differentiated, given which vectors there are at its ends.

    What a step hands on to the next has a vector too, if it makes one of those there are.
    """
    inputs = [i.variable for i in trace.inputs]
    results = [o.atom for o in trace.outputs]
    carried = [(inputs.index(i), int(o)) for i, o in trace.recurrence]
    weighed = {k for k in given if not backward or isinstance(results[k], str)}
    while True:
        names = {k: weight_of(loop, k) for k in sorted(weighed)}
        chosen: Mapping[Var, Var] = {
            name: str(results[k]) if backward else inputs[k] for k, name in names.items()
        }
        graph = (weighted_outputs if backward else weighted_inputs)(trace, chosen)
        targets, sources = {t for t, _ in graph.ends}, {s for _, s in graph.ends}
        if backward:
            more = {k for place, k in carried if inputs[place] in sources}
            more = {k for k in more if isinstance(results[k], str)}
        else:
            more = {place for place, k in carried if tip(str(results[k])) in targets}
        if more <= weighed:
            return StepPlan(planning(graph, sizes), tuple(sorted(weighed)))
        weighed |= more


def reverse(graph: ArrayGraph) -> Order:
    """Backpropagation: intermediates in reverse topological order."""
    return graph.order(reversed(graph.intermediates), "reverse")


def forward(graph: ArrayGraph) -> Order:
    """Forward mode: intermediates in topological order."""
    return graph.order(graph.intermediates, "forward")


def from_both_ends(graph: ArrayGraph) -> Order:
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
    return graph.order((*reversed(reversed_), *pushed, *reversed(left)), "reverse and forward")
