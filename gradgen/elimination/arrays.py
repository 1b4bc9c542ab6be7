"""Vertex elimination on graphs of arrays: partials have patterns, products are contractions.

The graph is that of a vector product: of the outputs weighted with cotangents, or of the inputs
with tangents (Griewank and Walther, *Evaluating Derivatives*, section 10.1), so that one end of it
is a single number. Operators can then be applied to what has met that end already.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from gradgen.ir.array_plan import (
    Add,
    Apply,
    ArrayPlan,
    Multiply,
    Step,
    Steps,
    Through,
    tip,
    weight_of,
)
from gradgen.ir.array_trace import ArrayTrace, Operator, Part, Partial, Passed
from gradgen.ir.code import Const, Var
from gradgen.ir.loops import LOOP, loop_of
from gradgen.ir.patterns import Pattern, product, total
from gradgen.ir.shapes import Dim, Shape, Sizes, size

END = "1"
"""The vertex of the single number."""


@dataclass(frozen=True)
class ArrayGraph:
    """The linearised graph of a vector product. Vertices are variables, in topological order."""

    vertices: tuple[Var, ...]
    intermediates: tuple[Var, ...]
    ends: tuple[Var, ...]
    """What is left besides the single number."""
    edges: tuple[tuple[Var, Var, tuple[Part, ...]], ...]
    """(source, target, terms)."""
    loops: Mapping[Var, tuple[Dim, ArrayTrace]]
    """The length of each loop, and what a step of it computes."""
    shapes: Mapping[Var, Shape]
    backward: bool
    """Whether the single number is what all is summed up to, or what all varies with."""


def weighted_outputs(trace: ArrayTrace, cotangents: Mapping[Var, Var]) -> ArrayGraph:
    """The graph of the outputs' sum, weighted with cotangents: by each, whose it is."""
    inputs = [i.variable for i in trace.inputs if i.wrt]
    edges = _edges(trace)
    kept = _between(trace, edges, inputs, list(cotangents.values()))
    for weight, variable in cotangents.items():
        edges.setdefault((variable, END), []).append(_vector(variable, weight, trace))
    return _graph(trace, edges, kept, [v for v in inputs if v in kept], backward=True)


def weighted_inputs(trace: ArrayTrace, tangents: Mapping[Var, Var]) -> ArrayGraph:
    """The graph below one number, which feeds each input its tangent: by each, whose it is.

    Outputs have vertices of their own, since they may be read further.
    """
    outputs = dict.fromkeys(o.atom for o in trace.float_outputs if isinstance(o.atom, str))
    edges = _edges(trace)
    kept = _between(trace, edges, list(tangents.values()), list(outputs))
    for weight, variable in tangents.items():
        edges[END, variable] = [_vector(variable, weight, trace, rows=True)]
    reached = [v for v in outputs if v in kept]
    for variable in reached:
        edges[variable, tip(variable)] = [_identity(variable, trace)]
    return _graph(trace, edges, kept, list(map(tip, reached)), backward=False)


def goes_forward(graph: ArrayGraph) -> bool:
    """Whether tangents can be pushed along all edges: none has a rule for cotangents alone."""
    terms = [term for _, _, terms in graph.edges for term in terms]
    inside = all(
        part.pushed is not None
        for _, trace in graph.loops.values()
        for step in _with_loops(trace)
        for elemental in step.elementals
        for part in elemental.parts
        if isinstance(part, Operator)
    )
    return inside and all(
        not isinstance(term, Operator) or term.pushed is not None for term in terms
    )


def _with_loops(trace: ArrayTrace) -> Iterator[ArrayTrace]:
    yield trace
    for _, step in trace.loops:
        yield from _with_loops(step)


_Edges = dict[tuple[Var, Var], list[Part]]


def _edges(trace: ArrayTrace) -> _Edges:
    edges: _Edges = {}
    for elemental in trace.elementals:
        for part in elemental.parts:
            edges.setdefault((part.source, elemental.target), []).append(part)
    return edges


def _vector(variable: Var, weight: Var, trace: ArrayTrace, *, rows: bool = False) -> Partial:
    shape = trace.shapes_by_variable[variable]
    axes = tuple(range(len(shape)))
    layout = tuple(None if dim == 1 else k for k, dim in enumerate(shape))
    pattern = Pattern(axes if rows else (), () if rows else axes, _varying(shape), shape)
    return Partial(variable, pattern, weight, layout)


def _identity(variable: Var, trace: ArrayTrace) -> Partial:
    shape = trace.shapes_by_variable[variable]
    axes = tuple(range(len(shape)))
    return Partial(variable, Pattern(axes, axes, frozenset(), shape, True), Const(1.0), ())


def _graph(
    trace: ArrayTrace, edges: _Edges, kept: set[Var], ends: Sequence[Var], *, backward: bool
) -> ArrayGraph:
    order = [i.variable for i in trace.inputs if i.wrt] + [e.target for e in trace.elementals]
    vertices = [v for v in order if v in kept]
    known = {END, *vertices, *ends}
    found = [(s, t, tuple(parts)) for (s, t), parts in edges.items() if {s, t} <= known]
    shapes = trace.shapes_by_variable
    lengths = {i.target: loop_of(i).length for i in trace.primal if i.op == LOOP}
    return ArrayGraph(
        (*vertices, *(v for v in ends if v not in kept)),
        tuple(v for v in vertices if v not in ends),
        tuple(ends),
        tuple(found),
        {loop: (lengths[loop], step) for loop, step in trace.loops if loop in known},
        shapes | {tip(v): shapes[v] for v in vertices},
        backward,
    )


def _between(
    trace: ArrayTrace, edges: _Edges, sources: Sequence[Var], targets: Sequence[Var]
) -> set[Var]:
    """The vertices on paths from sources to targets."""
    successors: dict[Var, list[Var]] = {}
    predecessors: dict[Var, list[Var]] = {}
    for source, target in edges:
        successors.setdefault(source, []).append(target)
        predecessors.setdefault(target, []).append(source)
    return _reach(sources, successors) & _reach(targets, predecessors)


def _reach(start: Sequence[Var], neighbours: Mapping[Var, list[Var]]) -> set[Var]:
    reached = set(start)
    waiting = list(reached)
    while waiting:
        for vertex in neighbours.get(waiting.pop(), ()):
            if vertex not in reached:
                reached.add(vertex)
                waiting.append(vertex)
    return reached


@dataclass(frozen=True)
class _Of:
    """A vector that belongs to one result of a loop, or to one of its operands."""

    index: int
    value: int


_Term = int | Operator | Passed | _Of


class Elimination:
    """A graph under elimination, with what it has cost so far."""

    def __init__(self, graph: ArrayGraph, sizes: Sizes) -> None:
        self._graph, self._sizes = graph, sizes
        self._number = {v: k for k, v in enumerate(graph.vertices)}
        self.muls = self.adds = 0
        self.steps: list[Step] = []
        self._complete: list[tuple[int, Var]] = []
        self.partials: list[Partial] = []
        self._patterns: list[Pattern] = []
        self._terms: dict[Var, dict[Var, list[_Term]]] = {}
        self._sources: dict[Var, set[Var]] = {}
        every = [(s, t, part) for s, t, parts in graph.edges for part in parts]
        numbered = [part for _, _, part in every if isinstance(part, Partial)]
        self.partials, self._patterns = numbered, [p.pattern for p in numbered]
        number = iter(range(len(numbered)))
        for source, target, part in every:
            self._add(source, target, next(number) if isinstance(part, Partial) else part)

    def targets(self, vertex: Var) -> dict[Var, list[_Term]]:
        """The terms of the edges out of a vertex."""
        return self._terms.get(vertex, {})

    def legal(self, vertex: Var) -> bool:
        """Whether no operator would be multiplied but with a vector."""
        return all(
            self._multiplies(left, right, END in (source, target))
            for target, lefts in self.targets(vertex).items()
            for left in lefts
            for source in self._sources.get(vertex, ())
            for right in self._terms[source][vertex]
        )

    def cost(self, vertex: Var) -> int:
        """The multiplications of eliminating a vertex now."""
        return sum(
            product(self._patterns[left], self._patterns[right]).multiplications(
                self._patterns[left], self._patterns[right], self._sizes
            )
            for lefts in self.targets(vertex).values()
            for left in lefts
            for source in self._sources.get(vertex, ())
            for right in self._terms[source][vertex]
            if isinstance(left, int) and isinstance(right, int)
        )

    def eliminate(self, vertex: Var) -> None:
        """Join every edge into an intermediate with every edge out of it."""
        if vertex in self._graph.loops:
            self._pass_through(vertex)
            return
        lefts = self.targets(vertex)
        self._note_complete(vertex)
        for source in sorted(self._sources.get(vertex, ()), key=self._place):
            for target in sorted(lefts, key=self._place):
                for left in lefts[target]:
                    for right in self._terms[source][vertex]:
                        self._add(source, target, self._times(left, right, (vertex, target)))
        self._remove(vertex)

    def _remove(self, vertex: Var) -> None:
        for source in self._sources.get(vertex, ()):
            del self._terms[source][vertex]
        for target in self.targets(vertex):
            self._sources[target].discard(vertex)
        self._terms.pop(vertex, None)
        self._sources.pop(vertex, None)

    def _pass_through(self, loop: Var) -> None:
        """Take all vectors that have met a loop through it, at once."""
        backward, shapes = self._graph.backward, self._graph.shapes
        vectors = self._terms[loop][END] if backward else self._terms[END][loop]
        given = tuple(sorted((v.index, v.value) for v in vectors if isinstance(v, _Of)))
        length, trace = self._graph.loops[loop]
        steps = _steps(trace, loop, [k for k, _ in given], self._sizes, backward=backward)
        times = size(length, self._sizes)
        self.muls += times * steps.plan.muls
        self.adds += times * steps.plan.adds
        around = self._sources.get(loop, set()) if backward else set(self.targets(loop))
        for vertex in sorted(around - {END}, key=self._place):
            terms = self._terms[vertex][loop] if backward else self._terms[loop][vertex]
            shape = shapes[vertex]
            axes = tuple(range(len(shape)))
            pattern = Pattern(
                () if backward else axes, axes if backward else (), _varying(shape), shape
            )
            ends = (vertex, END) if backward else (END, vertex)
            for term in terms:
                assert isinstance(term, Passed)
                through = Through(loop, given, term.index, steps, pattern)
                self._add(*ends, self._take(through, pattern))
        self._remove(loop)

    def _note_complete(self, vertex: Var) -> None:
        """Note if there is one vector left at a vertex: a cotangent, or a tangent."""
        around = self.targets(vertex) if self._graph.backward else self._sources.get(vertex, ())
        if list(around) == [END]:
            ends = (vertex, END) if self._graph.backward else (END, vertex)
            terms = self._terms[ends[0]][ends[1]]
            if len(terms) == 1 and isinstance(terms[0], int):
                self._complete.append((terms[0], vertex))

    def plan(self, found_by: str) -> ArrayPlan:
        """The steps so far, and the values that are left."""
        results = []
        for end in self._graph.ends:
            source, target = (end, END) if self._graph.backward else (END, end)
            terms = self._terms.get(source, {}).get(target, [])
            results.append((end, tuple(term for term in terms if isinstance(term, int))))
        return ArrayPlan(
            tuple(self.partials),
            tuple(self.steps),
            tuple(results),
            tuple(self._complete),
            self.muls,
            self.adds,
            found_by,
        )

    def _place(self, vertex: Var) -> int:
        return self._number.get(vertex, -1)

    def _multiplies(self, left: _Term, right: _Term, with_vector: bool) -> bool:
        if isinstance(left, int) and isinstance(right, int):
            return True
        if isinstance(left, _Of) or isinstance(right, _Of):
            # a loop is passed when all its results, or operands, have met the vector
            return isinstance(left, Passed) or isinstance(right, Passed)
        if isinstance(right, Passed):
            return isinstance(left, int) and self._graph.backward and with_vector
        if isinstance(left, Passed):
            return isinstance(right, int) and not self._graph.backward and with_vector
        if isinstance(left, int):
            return not self._patterns[left].rows and self._graph.backward
        return (
            isinstance(right, int)
            and isinstance(left, Operator)
            and left.pushed is not None
            and not self._patterns[right].columns
            and not self._graph.backward
        )

    def _times(self, left: _Term, right: _Term, ends: tuple[Var, Var]) -> int | _Of:
        if isinstance(right, Passed):
            assert isinstance(left, int)
            return _Of(right.index, left)
        if isinstance(left, Passed):
            assert isinstance(right, int)
            return _Of(left.index, right)
        if isinstance(left, int) and isinstance(right, int):
            one, two = self._patterns[left], self._patterns[right]
            found = product(one, two)
            self.muls += found.multiplications(one, two, self._sizes)
            self.adds += found.additions(one, two, self._sizes)
            return self._take(Multiply(left, right, found), found.pattern)
        (middle, target), shapes = ends, self._graph.shapes
        if isinstance(left, int):
            assert isinstance(right, Operator)
            shape = shapes[right.source]
            pattern = Pattern((), tuple(range(len(shape))), _varying(shape), shape)
            return self._take(Apply(right.transposed, left, shapes[middle], pattern), pattern)
        assert isinstance(right, int)
        assert isinstance(left, Operator)
        assert left.pushed is not None
        shape = shapes[target]
        pattern = Pattern(tuple(range(len(shape))), (), _varying(shape), shape)
        return self._take(Apply(left.pushed, right, shapes[middle], pattern), pattern)

    def _take(self, step: Step, pattern: Pattern) -> int:
        self.steps.append(step)
        self._patterns.append(pattern)
        return len(self._patterns) - 1

    def _add(self, source: Var, target: Var, term: _Term) -> None:
        terms = self._terms.setdefault(source, {}).setdefault(target, [])
        self._sources.setdefault(target, set()).add(source)
        if isinstance(term, _Of):
            for k, known in enumerate(terms):
                if isinstance(known, _Of) and known.index == term.index:
                    pattern = total(self._patterns[known.value], self._patterns[term.value])
                    assert pattern is not None
                    added = self._take(Add(known.value, term.value, pattern), pattern)
                    terms[k] = _Of(term.index, added)
                    return
        if isinstance(term, int):
            for k, other in enumerate(terms):
                if not isinstance(other, int):
                    continue
                pattern = total(self._patterns[other], self._patterns[term])
                if pattern is not None:
                    terms[k] = self._take(Add(other, term, pattern), pattern)
                    return
        terms.append(term)


def _varying(shape: Shape) -> frozenset[int]:
    return frozenset(k for k, dim in enumerate(shape) if dim != 1)


def _steps(
    trace: ArrayTrace, loop: Var, given: Sequence[int], sizes: Sizes, *, backward: bool
) -> Steps:
    """How the steps of a loop are differentiated, given which vectors there are at its ends.

    What a step hands on to the next has a vector too, if it makes one of those there are.
    """
    inputs = [i.variable for i in trace.inputs]
    results = [o.atom for o in trace.outputs]
    carried = [(inputs.index(i), int(o)) for i, o in trace.recurrence]
    weighed = {k for k in given if not backward or isinstance(results[k], str)}
    while True:
        if backward:
            chosen = {weight_of(loop, k): str(results[k]) for k in sorted(weighed)}
            graph = weighted_outputs(trace, chosen)
            more = {result for place, result in carried if inputs[place] in graph.ends}
            more = {k for k in more if isinstance(results[k], str)}
        else:
            graph = weighted_inputs(trace, {weight_of(loop, k): inputs[k] for k in sorted(weighed)})
            ends = set(graph.ends)
            more = {place for place, result in carried if tip(str(results[result])) in ends}
        if more <= weighed:
            break
        weighed |= more
    return Steps(cheapest(graph, sizes), tuple(sorted(weighed)))


def cheapest(graph: ArrayGraph, sizes: Sizes) -> ArrayPlan:
    """The plan with the fewest multiplications of the orders that need no search."""
    plans = [sweep(graph, sizes), _greedy(graph, sizes)]
    return min((p for p in plans if p is not None), key=lambda p: (p.muls, p.adds))


def sweep(graph: ArrayGraph, sizes: Sizes) -> ArrayPlan:
    """Reverse mode for cotangents, forward mode for tangents."""
    found = _swept(graph, sizes, "reverse" if graph.backward else "forward")
    assert found is not None
    return found


def _swept(graph: ArrayGraph, sizes: Sizes, mode: str) -> ArrayPlan | None:
    order = reversed(graph.intermediates) if mode == "reverse" else graph.intermediates
    elimination = Elimination(graph, sizes)
    for vertex in order:
        if not elimination.legal(vertex):
            return None
        elimination.eliminate(vertex)
    return elimination.plan(mode)


def _greedy(graph: ArrayGraph, sizes: Sizes) -> ArrayPlan | None:
    """Markowitz's rule with prices: always what takes the fewest multiplications now."""
    elimination = Elimination(graph, sizes)
    remaining = list(reversed(graph.intermediates))
    if len(remaining) > _MANY:
        return None
    while remaining:
        allowed = [v for v in remaining if elimination.legal(v)]
        if not allowed:
            return None
        vertex = min(allowed, key=elimination.cost)
        elimination.eliminate(vertex)
        remaining.remove(vertex)
    return elimination.plan("markowitz")


_MANY = 150
"""Vertices above which the greedy order is not tried: it looks at all of them for each."""
