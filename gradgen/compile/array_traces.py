"""Learning online on arrays, where it is asked for: what is handed on, its plans and programs."""

from __future__ import annotations

from collections.abc import Mapping

from gradgen.compile.array_refusals import (
    called,
    couples_neurons,
    described,
    require_learned,
    trace_never_formed,
)
from gradgen.config import Settings
from gradgen.elimination.array_graphs import ArrayGraph
from gradgen.elimination.eligibility import (
    NeverFormedError,
    eligibility_of,
    factor_graph,
    moving_graph,
)
from gradgen.elimination.forming import formed
from gradgen.elimination.meeting import gathering_graph, meeting_graphs
from gradgen.frontend.recurrence import require_state
from gradgen.ir.array_plan import ArrayPlan
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import Var
from gradgen.ir.eligibility import ArrayEligibility, Coupling, Eligibility, Locality, Plans, Term
from gradgen.ir.shapes import Sizes
from gradgen.ir.source import Source
from gradgen.lowering.eligibility import traces_of
from gradgen.search.arrays.portfolio import Orders


def online_traces(
    trace: ArrayTrace,
    source: Source,
    settings: Settings,
    errors: Mapping[Var, Var],
    orders: Orders,
) -> ArrayEligibility | None:
    """The programs of learning online, if they are asked for.

    `errors` are the variables of the outputs' cotangents: of each, whose it is. Raises GradgenError
    where there is no state or nothing to learn, where neurons are coupled and nobody said what to
    keep of that, and where a trace would go through what is never stored.
    """
    if "traces" not in settings.emit:
        return None
    require_learned(trace, source)
    require_state(source, trace)
    stored = formed(trace)
    try:
        found = eligibility_of(stored, settings.locality)
    except NeverFormedError as error:
        choices = _choices(stored)
        if settings.locality == "auto" and choices:
            raise couples_neurons(trace, source, choices, error.at) from error
        raise trace_never_formed(
            trace, source, choices, error.output, error.given, error.at
        ) from error
    if settings.locality == "auto" and found.couplings:
        raise couples_neurons(trace, source, _choices(stored))
    left_out = tuple(dict.fromkeys(described(trace, source, c) for c in found.left_out))
    plans = _plans(trace, stored, found, errors, orders)
    return traces_of(stored, found, plans, _names(trace, found), errors, left_out)


_CHOICES: tuple[Locality, ...] = ("layer", "full", "neuron")
"""Of those that leave out the same, the last is offered."""


def _choices(trace: ArrayTrace) -> list[Eligibility]:
    """What can be had of what couples neurons."""
    found: dict[tuple[Coupling, ...], Eligibility] = {}
    for locality in _CHOICES:
        try:
            one = eligibility_of(trace, locality)
        except NeverFormedError:
            continue
        found[one.left_out] = one
    return list(found.values())


def _plans(
    trace: ArrayTrace,
    stored: ArrayTrace,
    found: Eligibility,
    errors: Mapping[Var, Var],
    orders: Orders,
) -> Plans:
    """Traces move on through partials alone; errors, which are vectors, through linear maps too."""
    sizes = dict(trace.sizes)
    meeting = tuple(_pulled(graph, sizes, orders) for graph in meeting_graphs(trace, found, errors))
    met = {f"{source}_gradient": source for plan in meeting for _, source, _ in plan.results}
    return Plans(
        orders.cheapest(factor_graph(stored, found), sizes),
        orders.cheapest(moving_graph(stored, found), sizes),
        meeting,
        _pulled(gathering_graph(trace, met), sizes, orders),
        tuple(met.items()),
    )


def _pulled(graph: ArrayGraph, sizes: Sizes, orders: Orders) -> ArrayPlan:
    """The plan with the fewest multiplications, reverse mode if that is one of them."""
    return min(orders.candidates(graph, sizes), key=lambda plan: (plan.muls, plan.adds))


def _names(trace: ArrayTrace, found: Eligibility) -> dict[Term, str]:
    """What each term is called: `v by w`, and `v by w, 2` for the second one."""
    names: dict[Term, str] = {}
    for term in (*found.traces, *found.factors):
        name = f"{called(trace, term.state)} by {called(trace, term.source)}"
        taken, number, first = set(names.values()), 2, name
        while name in taken:
            name, number = f"{first}, {number}", number + 1
        names[term] = name
    return names
