"""Through which terms a step couples neurons, and which of them traces leave out.

A term of a partial couples neurons where an axis of one side is none of the other: `z @ r` sums
over all neurons, and a convolution mixes places and channels. Axes whose size is a number are
parts of one neuron.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gradgen.elimination.array_graphs import Edges, Term
from gradgen.elimination.reaching import between, neighbours, reach
from gradgen.ir.array_trace import ArrayTrace, Operator, Partial
from gradgen.ir.code import Var
from gradgen.ir.eligibility import Coupling, Locality
from gradgen.ir.patterns import Label, Pattern


def couples(term: Term) -> bool:
    """Whether a term goes from one neuron to others."""
    if isinstance(term, Operator):
        return any(isinstance(dim, str) for dim in term.mixed)
    return isinstance(term, Partial) and joins_neurons(term.pattern)


def joins_neurons(pattern: Pattern) -> bool:
    """Whether an axis of a population is one of rows alone, or of columns alone."""
    return _named(pattern, pattern.rows) != _named(pattern, pattern.columns)


def _named(pattern: Pattern, labels: Sequence[Label]) -> set[Label]:
    return {label for label in labels if isinstance(pattern.dims[label], str)}


def couplings_of(
    trace: ArrayTrace, edges: Edges, states: Mapping[Var, Var], sources: Collection[Var]
) -> tuple[Coupling, ...]:
    """The terms that go from what depends on the state to other neurons' state."""
    inner = {ends: terms for ends, terms in edges.items() if ends[1] not in sources}
    dynamic = reach(states, neighbours(inner))
    kept = between(inner, states, states.values())
    place = {e.target: k for k, e in enumerate(trace.elementals)}
    found = [
        Coupling(source, target)
        for (source, target), terms in inner.items()
        if source in dynamic and {source, target} <= kept and any(map(couples, terms))
    ]
    return tuple(sorted(found, key=lambda c: place[c.target]))


def left_out_by(
    locality: Locality,
    trace: ArrayTrace,
    edges: Edges,
    states: Mapping[Var, Var],
    couplings: Sequence[Coupling],
) -> tuple[Coupling, ...]:
    """The couplings that traces of a locality leave out."""
    if locality == "neuron":
        return tuple(couplings)
    if locality == "layer":
        layer = _layers(trace, edges, states)
        return tuple(c for c in couplings if layer[c.source] != layer[c.target])
    return ()


def _layers(trace: ArrayTrace, edges: Edges, states: Mapping[Var, Var]) -> dict[Var, Var]:
    """For each variable that depends on the state, one that stands for its layer.

    A layer is what is joined neuron by neuron, over time too. What has no state of its own is part
    of the layer that reads it, if that is one.
    """
    below = neighbours(edges)
    dynamic = reach(states, below)
    parent = {v: v for v in dynamic}

    def find(v: Var) -> Var:
        while parent[v] != v:
            v = parent[v]
        return v

    for (source, target), terms in edges.items():
        if source in dynamic and not all(map(couples, terms)):
            parent[find(source)] = find(target)
    for state, following in states.items():
        if following in dynamic:
            parent[find(state)] = find(following)
    for elemental in reversed(trace.elementals):
        own = find(elemental.target) if elemental.target in dynamic else None
        if own is not None and own not in {find(s) for s in states}:
            readers = {find(t) for t in below.get(elemental.target, ())} - {own}
            if len(readers) == 1:
                parent[own] = readers.pop()
    return {v: find(v) for v in dynamic}
