"""Vertex elimination on graphs of arrays: partials have patterns, products are contractions.

The graph is that of a vector product: of the outputs weighted with cotangents, or of the inputs
with tangents (Griewank and Walther, *Evaluating Derivatives*, section 10.1), so that one end of it
is a single number. Operators can then be applied to what has met that end already.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gradgen.ir.array_plan import Add, Apply, ArrayPlan, Multiply, Step, tip
from gradgen.ir.array_trace import ArrayTrace, Operator, Partial
from gradgen.ir.code import Const, Var
from gradgen.ir.patterns import Pattern, product, total
from gradgen.ir.shapes import Shape, Sizes

END = "1"
"""The vertex of the single number."""


@dataclass(frozen=True)
class ArrayGraph:
    """The linearised graph of a vector product. Vertices are variables, in topological order."""

    vertices: tuple[Var, ...]
    intermediates: tuple[Var, ...]
    ends: tuple[Var, ...]
    """What is left besides the single number."""
    edges: tuple[tuple[Var, Var, tuple[Partial | Operator, ...]], ...]
    """(source, target, terms)."""
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
    return all(isinstance(term, Partial) or term.pushed is not None for term in terms)


_Edges = dict[tuple[Var, Var], list[Partial | Operator]]


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
    return ArrayGraph(
        (*vertices, *(v for v in ends if v not in kept)),
        tuple(v for v in vertices if v not in ends),
        tuple(ends),
        tuple(found),
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
        self._terms: dict[Var, dict[Var, list[int | Operator]]] = {}
        self._sources: dict[Var, set[Var]] = {}
        every = [(s, t, part) for s, t, parts in graph.edges for part in parts]
        numbered = [part for _, _, part in every if isinstance(part, Partial)]
        self.partials, self._patterns = numbered, [p.pattern for p in numbered]
        number = iter(range(len(numbered)))
        for source, target, part in every:
            self._add(source, target, next(number) if isinstance(part, Partial) else part)

    def targets(self, vertex: Var) -> dict[Var, list[int | Operator]]:
        """The terms of the edges out of a vertex."""
        return self._terms.get(vertex, {})

    def legal(self, vertex: Var) -> bool:
        """Whether no operator would be multiplied but with a vector."""
        return all(
            self._multiplies(left, right)
            for lefts in self.targets(vertex).values()
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
        lefts = self.targets(vertex)
        self._note_complete(vertex)
        for source in sorted(self._sources.get(vertex, ()), key=self._place):
            for target in sorted(lefts, key=self._place):
                for left in lefts[target]:
                    for right in self._terms[source][vertex]:
                        self._add(source, target, self._times(left, right, (vertex, target)))
            del self._terms[source][vertex]
        for target in lefts:
            self._sources[target].discard(vertex)
        self._terms.pop(vertex, None)
        self._sources.pop(vertex, None)

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

    def _multiplies(self, left: int | Operator, right: int | Operator) -> bool:
        if isinstance(left, int) and isinstance(right, int):
            return True
        if isinstance(left, int):
            return not self._patterns[left].rows and self._graph.backward
        return (
            isinstance(right, int)
            and left.pushed is not None
            and not self._patterns[right].columns
            and not self._graph.backward
        )

    def _times(self, left: int | Operator, right: int | Operator, ends: tuple[Var, Var]) -> int:
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
        assert left.pushed is not None
        shape = shapes[target]
        pattern = Pattern(tuple(range(len(shape))), (), _varying(shape), shape)
        return self._take(Apply(left.pushed, right, shapes[middle], pattern), pattern)

    def _take(self, step: Step, pattern: Pattern) -> int:
        self.steps.append(step)
        self._patterns.append(pattern)
        return len(self._patterns) - 1

    def _add(self, source: Var, target: Var, term: int | Operator) -> None:
        terms = self._terms.setdefault(source, {}).setdefault(target, [])
        self._sources.setdefault(target, set()).add(source)
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
