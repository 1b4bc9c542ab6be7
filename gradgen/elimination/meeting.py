"""Where errors at the outputs of a step meet the traces of what is learned.

An error goes down through the step until it comes to the new value of a state that has a trace:
there the two meet, in one contraction, and what lies further down is in the trace.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from gradgen.elimination.array_graphs import END, ArrayGraph, edges_in, graph_of, vector_of
from gradgen.elimination.eligibility import above, add_old, stored
from gradgen.elimination.reaching import between
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import Var
from gradgen.ir.eligibility import Eligibility


def meeting_graphs(
    trace: ArrayTrace, found: Eligibility, errors: Mapping[Var, Var]
) -> Iterator[ArrayGraph]:
    """From the sources to the outputs' sum, weighted with errors: by each, whose it is.

    A graph for each meeting.
    """
    for meeting in found.meetings:
        sources, states = meeting.sources, meeting.states
        met = {found.carried[state] for state in states} - {*found.sources}
        edges = above(edges_in(trace), {*found.sources, *met})
        for variable in met:
            first = next(s for s in found.carried if found.carried[s] == variable and s in states)
            for term in found.traces:
                if term.state == first and term.source in sources:
                    edges.setdefault((term.source, variable), []).append(stored(term, term.new))
        # one that is handed on as it is has its trace already
        add_old(edges, found, sources, but=met)
        for weight, variable in errors.items():
            edges.setdefault((variable, END), []).append(vector_of(variable, weight, trace))
        kept = between(edges, sources, [END])
        ends = [(END, source) for source in sources if source in kept]
        if ends:
            yield graph_of(trace, edges, kept, ends, (*sources, *found.carried, *found.derived))


def gathering_graph(trace: ArrayTrace, met: Mapping[Var, Var]) -> ArrayGraph:
    """From parameters to sources, weighted with the gradients by these: by each, whose it is."""
    states = {path for path, _ in trace.recurrence}
    inputs = [i.variable for i in trace.inputs if i.wrt and i.path not in states]
    edges = edges_in(trace)
    kept = between(edges, inputs, met.values())
    for weight, variable in met.items():
        edges.setdefault((variable, END), []).append(vector_of(variable, weight, trace))
    return graph_of(trace, edges, {*kept, END}, [(END, v) for v in inputs if v in kept])
