"""Which derivatives a step hands to the next one for learning online, and along what they vary.

Real-time recurrent learning (Williams and Zipser 1989): the derivative T of the state by what is
learned moves on as T' = J T + F, with the derivatives J and F of the next state by the state and by
what is learned. J and F are sums of partials with patterns, and the pattern of T is the least fixed
point of that recurrence: of a leaky neuron it lacks the postsynaptic axis.

What is computed of parameters alone, such as `abs(w)`, is a source of its own where its derivative
has axes: errors reach the parameter through it, and no trace has to carry that. A state that is
computed of other new states alone, as a spike is of the potential, needs no traces but the factor
by which theirs tell its own.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from gradgen.elimination.array_graphs import (
    ArrayGraph,
    Edges,
    blocked,
    edges_in,
    graph_of,
    identity,
)
from gradgen.elimination.arrays import forward, planned
from gradgen.elimination.localities import couples, couplings_of, left_out_by
from gradgen.elimination.packed_states import parts_of
from gradgen.elimination.reaching import between, neighbours, reach
from gradgen.ir.amounts import Amount, amount
from gradgen.ir.array_plan import tip
from gradgen.ir.array_trace import ArrayTrace, Partial
from gradgen.ir.code import Var
from gradgen.ir.eligibility import Eligibility, Locality, Meeting
from gradgen.ir.eligibility import Term as Handed
from gradgen.ir.patterns import Pattern, total

_Pairs = dict[tuple[Var, Var], tuple[Pattern, ...]]


class NeverFormedError(Exception):
    """A derivative by a state or a parameter that is applied to vectors alone."""

    def __init__(self, output: Var, given: Var, at: Var) -> None:
        super().__init__(f"{output} by {given} at {at}")
        self.output, self.given, self.at = output, given, at


def eligibility_of(trace: ArrayTrace, locality: Locality) -> Eligibility:
    """What has to be handed on; with `auto` everything.

    Raises NeverFormedError where a trace would need what is never stored.
    """
    edges = edges_in(trace)
    states = _live_states(trace, edges)
    sources = _sources(trace, edges)
    couplings = couplings_of(trace, edges, states, sources)
    left_out = left_out_by(locality, trace, edges, states, couplings)
    kept = _without(edges, {(c.source, c.target) for c in left_out})
    _require_stored(trace, kept, states, sources)
    derived = _derived(trace, kept, states, sources)
    carried = {s: v for s, v in states.items() if s not in derived}
    found = Eligibility(locality, carried, derived, sources, (), (), (), couplings, left_out)
    factors = _terms(_pairs(_of_states(found, factor_graph(trace, found)), found.derived))
    found = replace(found, factors=factors)
    traces: _Pairs = {}
    while True:
        graph = moving_graph(trace, replace(found, traces=_terms(traces)))
        following = _joined(traces, _pairs(_forward(graph), found.carried))
        if following == traces:
            break
        traces = following
    found = replace(found, traces=_terms(traces))
    return replace(found, meetings=tuple(_meetings(trace, found)))


def influence_of(trace: ArrayTrace, found: Eligibility) -> Amount:
    """The elements of the influence matrix (Williams and Zipser 1989): of each state that has
    traces by each source that it ever depends on, with no axis left out."""
    shapes, states = trace.shapes_by_variable, {**found.carried, **found.derived}
    below = neighbours([*edges_in(trace), *((v, state) for state, v in states.items())])
    reached = {source: reach([source], below) for source in found.sources}
    pairs = [(s, source) for source in found.sources for s in found.carried if s in reached[source]]
    return sum((amount((*shapes[s], *shapes[source])) for s, source in pairs), Amount())


def _meetings(trace: ArrayTrace, found: Eligibility) -> Iterator[Meeting]:
    """The sources that have parameters in common, and all that have traces of the same states."""
    above = {i.target: i.variables for i in trace.primal}
    inputs = [i.variable for i in trace.inputs]
    groups: list[tuple[set[Var], set[Var]]] = []
    for source in found.sources:
        parameters = reach([source], {v: list(operands) for v, operands in above.items()})
        own = {v for v in inputs if v in parameters}
        sharing = [group for group in groups if group[1] & own]
        groups = [group for group in groups if group not in sharing]
        groups.append(
            ({source}.union(*(s for s, _ in sharing)), own.union(*(p for _, p in sharing)))
        )
    by_states: dict[tuple[Var, ...], tuple[set[Var], set[Var]]] = {}
    for sources, parameters in groups:
        traced = {term.state for term in found.traces if term.source in sources}
        states = tuple(s for s in found.carried if s in traced)
        known = by_states.get(states, (set(), set()))
        by_states[states] = known[0] | sources, known[1] | parameters
    for states, (sources, parameters) in by_states.items():
        yield Meeting(
            tuple(s for s in found.sources if s in sources),
            tuple(p for p in inputs if p in parameters),
            states,
        )


def moving_graph(trace: ArrayTrace, found: Eligibility) -> ArrayGraph:
    """From the sources to the new values of carried states: what this step adds, and the traces of
    the state before."""
    edges = above(_recurrence_edges(trace, found), {*found.sources})
    add_old(edges, found, found.sources)
    targets = []
    for variable in dict.fromkeys(found.carried.values()):
        edges[variable, tip(variable)] = [identity(variable, trace)]
        targets.append(tip(variable))
    return _graph(trace, edges, targets, found.sources, [*found.carried, *found.derived])


def factor_graph(trace: ArrayTrace, found: Eligibility) -> ArrayGraph:
    """From new values of carried states to those of derived ones."""
    given = list(dict.fromkeys(found.carried.values()))
    edges = above(_recurrence_edges(trace, found), {*given})
    targets = []
    for variable in dict.fromkeys(found.derived.values()):
        edges[variable, tip(variable)] = [identity(variable, trace)]
        targets.append(tip(variable))
    return _graph(trace, edges, targets, given, [])


def _graph(
    trace: ArrayTrace,
    edges: Edges,
    targets: Collection[Var],
    sources: Collection[Var],
    first: Collection[Var],
) -> ArrayGraph:
    kept = between(edges, sources, targets)
    into = neighbours((b, a) for a, b in edges)
    ancestors = {t: reach([t], into) for t in targets if t in kept}
    ends = [(t, s) for t in ancestors for s in sources if s in ancestors[t]]
    return graph_of(trace, edges, kept, ends, (*sources, *first))


def _recurrence_edges(trace: ArrayTrace, found: Eligibility) -> Edges:
    return _without(edges_in(trace), {(c.source, c.target) for c in found.left_out})


def _without(edges: Edges, couplings: Collection[tuple[Var, Var]]) -> Edges:
    """The edges, those that couple neurons without the terms that do."""
    kept: Edges = {}
    for ends, terms in edges.items():
        left = [t for t in terms if ends not in couplings or not couples(t)]
        if left:
            kept[ends] = left
    return kept


def above(edges: Edges, ends: Collection[Var]) -> Edges:
    """The edges but those into some vertices."""
    return {pair: terms for pair, terms in edges.items() if pair[1] not in ends}


def add_old(
    edges: Edges, found: Eligibility, sources: Collection[Var], but: Collection[Var] = ()
) -> None:
    """Put the traces of the state before above the step, `but` those of some."""
    for term in (*found.traces, *found.factors):
        if term.state not in but and (term.source in found.carried or term.source in sources):
            edges.setdefault((term.source, term.state), []).append(stored(term, term.old))


def stored(term: Handed, variable: Var) -> Partial:
    """A term as a partial whose value is in a variable."""
    return Partial(term.source, term.pattern, variable, tuple(sorted(term.pattern.held)))


def _live_states(trace: ArrayTrace, edges: Edges) -> dict[Var, Var]:
    """The differentiated state that any output depends on, with its next values."""
    atoms = {o.path: o.atom for o in trace.outputs}
    variables = {i.path: i.variable for i in trace.inputs}
    outputs = [o.atom for o in trace.float_outputs if isinstance(o.atom, str)]
    alive = reach(outputs, neighbours((b, a) for a, b in edges))
    found: dict[Var, Var] = {}
    for path, output in trace.differentiated_state:
        following = atoms[output]
        if isinstance(following, str):
            found |= parts_of(trace, variables[path], following)
    read = {source for source, target in edges if target in alive} | {*outputs}
    return {state: following for state, following in found.items() if state in read}


def _sources(trace: ArrayTrace, edges: Edges) -> tuple[Var, ...]:
    """What traces are by: what errors reach parameters from, in the order of the trace."""
    states = {path for path, _ in trace.recurrence}
    inputs = [i.variable for i in trace.inputs if i.wrt and i.path not in states]
    pure, fixed = set(inputs), {i.variable for i in trace.inputs if trace.stays(i)}
    for instruction in trace.primal:
        if fixed.issuperset(instruction.variables):
            fixed.add(instruction.target)
        elif (pure | fixed).issuperset(instruction.variables):
            pure.add(instruction.target)
    vertices = [v for v in (*inputs, *(e.target for e in trace.elementals)) if v in pure]
    outputs = {o.atom for o in trace.float_outputs}
    own: dict[Var, set[Var]] = {}
    for vertex in vertices:
        into = {s: terms for (s, t), terms in edges.items() if t == vertex}
        easy = all(
            isinstance(t, Partial) and not t.pattern.held for ts in into.values() for t in ts
        )
        nearest = {q for s in into for q in own.get(s, ())}
        own[vertex] = nearest if into and easy else {vertex}
    leaving = {s for s, t in edges if s in own and t not in own} | {v for v in own if v in outputs}
    found = {q for v in leaving for q in own[v]}
    return tuple(v for v in vertices if v in found)


def _require_stored(
    trace: ArrayTrace, edges: Edges, states: Mapping[Var, Var], sources: Collection[Var]
) -> None:
    graph = _graph(
        trace,
        above(edges, {*sources}) | {(v, tip(v)): [identity(v, trace)] for v in states.values()},
        [tip(v) for v in dict.fromkeys(states.values())],
        list(dict.fromkeys((*sources, *states))),
        [],
    )
    found = blocked(graph)
    if found is not None:
        raise NeverFormedError(*found)


def _derived(
    trace: ArrayTrace, edges: Edges, states: Mapping[Var, Var], sources: Collection[Var]
) -> dict[Var, Var]:
    """The states whose next values are computed of those of others alone, neuron by neuron."""
    place = {e.target: k for k, e in enumerate(trace.elementals)}
    found: dict[Var, Var] = {}
    for state in sorted(states, key=lambda s: -place.get(states[s], -1)):
        others = {v for s, v in states.items() if s != state and s not in found}
        if states[state] in others:
            found[state] = states[state]
            continue
        cut = above(edges, others)
        below = neighbours(cut)
        if states[state] in reach({*sources, *states} - others, below):
            continue
        within = reach(others, below) & reach([states[state]], neighbours((b, a) for a, b in cut))
        terms = [t for (s, v), ts in cut.items() if {s, v} <= within for t in ts]
        if terms and all(isinstance(t, Partial) and not couples(t) for t in terms):
            found[state] = states[state]
    return found


def _of_states(found: Eligibility, graph: ArrayGraph) -> Iterator[tuple[Var, Var, Pattern]]:
    """Derivatives by new values as those by the states themselves, as the next step has them."""
    state = {variable: state for state, variable in found.carried.items()}
    for target, source, pattern in _forward(graph):
        yield target, state[source], pattern


def _forward(graph: ArrayGraph) -> Iterator[tuple[Var, Var, Pattern]]:
    plan = planned(graph, forward(graph), {})
    patterns = plan.patterns
    for target, source, numbers in plan.results:
        for number in numbers:
            yield target, source, patterns[number]


def _pairs(results: Iterator[tuple[Var, Var, Pattern]], states: Mapping[Var, Var]) -> _Pairs:
    """The patterns of states by what their derivatives are by."""
    found: _Pairs = {}
    for target, source, pattern in results:
        for state, variable in states.items():
            if tip(variable) == target:
                found[state, source] = (*found.get((state, source), ()), pattern)
    return found


def _joined(old: _Pairs, new: _Pairs) -> _Pairs:
    """The terms of both, equal ones once."""
    found = {pair: list(terms) for pair, terms in old.items()}
    for pair, patterns in new.items():
        terms = found.setdefault(pair, [])
        for pattern in patterns:
            plain = replace(pattern, free=False)
            for k, term in enumerate(terms):
                joined = total(term, plain)
                if joined is not None:
                    terms[k] = joined
                    break
            else:
                terms.append(plain)
    return {pair: tuple(terms) for pair, terms in found.items()}


def _terms(pairs: _Pairs) -> tuple[Handed, ...]:
    return tuple(
        Handed(state, source, number, replace(pattern, free=False))
        for (state, source), patterns in pairs.items()
        for number, pattern in enumerate(patterns)
    )
