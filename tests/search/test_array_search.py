"""Searches on graphs of arrays, against all orders and against plans."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from array_sources import HEADER, SOURCES
from generating import ROOT

from gradgen.compile.front import open_front
from gradgen.config import Settings
from gradgen.elimination.array_graphs import weighted_outputs, whole_jacobian
from gradgen.elimination.arrays import forward, planned, reverse
from gradgen.search.arrays import portfolio
from gradgen.search.arrays.annealing import annealed
from gradgen.search.arrays.markowitz import markowitz
from gradgen.search.arrays.portfolio import (
    Orders,
    eliminations_of,
    find_order,
    priced,
    sweep,
)
from gradgen.search.arrays.subsets import proved

SMALL = (
    "diagonals",
    "branch",
    "loss with what else is to be known",
    "attention with heads",
    "gather and scatter",
    "axes of size one",
    "convolution with named channels",
)
SIZES = ({}, {"batch": 1, "n": 100, "heads": 2}, {"batch": 100, "n": 3, "t": 5})


_traces = {}


def trace_of(name, tmp_path, sizes):
    """The trace of a source, made once, at some sizes."""
    if name not in _traces:
        path = tmp_path / "model.py"
        path.write_text(HEADER + SOURCES[name])
        _traces[name] = open_front(Settings(str(path))).trace
    return replace(_traces[name], sizes=tuple(sizes.items()))


def graphs_of(trace):
    weights = {o.atom: f"ct{k}" for k, o in enumerate(trace.float_outputs)}
    return (
        weighted_outputs(trace, {w: v for v, w in weights.items() if isinstance(v, str)}),
        whole_jacobian(trace),
    )


def first_few(graph, count=6):
    """A graph in which all but a few intermediates are eliminated: the states of a search."""
    eliminations = eliminations_of(graph, {})
    edges = eliminations.start
    for vertex in reversed(eliminations.intermediates[count:]):
        if eliminations.cost(edges, vertex) is None:
            return None
        edges = eliminations.without(edges, vertex)
    eliminations.start = edges
    eliminations.intermediates = eliminations.intermediates[:count]
    return eliminations


@pytest.mark.parametrize("name", SMALL)
def test_exact_search_finds_the_best_of_all_orders(name, tmp_path):
    for graph in graphs_of(trace_of(name, tmp_path, {})):
        eliminations = first_few(graph)
        if eliminations is None:
            continue
        every = [
            order
            for steps in itertools.permutations(eliminations.intermediates)
            if (order := eliminations.priced(steps, "")) is not None
        ]
        if not every:
            continue
        best = min(order.price for order in every)
        for start in (every[0], every[-1], max(every, key=lambda order: order.price)):
            (found,), is_proved = proved(eliminations, [start], 10**6)
            assert (found.price, is_proved) == (best, True)
            assert eliminations.priced(found.steps, "").price == best
            near = annealed(eliminations, start, 20_000)
            assert best <= near.price <= start.price
            assert eliminations.priced(near.steps, "").price == near.price


def test_without_work_nothing_is_proved_and_nothing_lost(tmp_path):
    eliminations = eliminations_of(graphs_of(trace_of("diagonals", tmp_path, {}))[0], {})
    start = eliminations.priced(eliminations.intermediates[::-1], "reverse")
    assert proved(eliminations, [start], 0) == ([start], False)
    assert annealed(eliminations, start, 0) == start


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        *itertools.product(SMALL, SIZES),
        *itertools.product(("recurrent adaptive layer", "activations"), SIZES[1:2]),
        *(
            pytest.param(name, sizes, marks=pytest.mark.full)
            for name in ("recurrent adaptive layer", "activations")
            for sizes in SIZES[::2]
        ),
    ],
)
def test_a_plan_takes_what_the_search_says(name, sizes, tmp_path):
    trace = trace_of(name, tmp_path, sizes)
    for graph in graphs_of(trace):
        eliminations = eliminations_of(graph, sizes)
        orders = [forward(graph), reverse(graph), find_order(graph, sizes)]
        orders += [
            graph.order((graph.vertices[v] for v in found.steps), "markowitz")
            for sign in (1, -1)
            if (found := markowitz(eliminations, lambda v, s=sign: s * v))
        ]
        prices = []
        for order in filter(None, orders):
            known = priced(eliminations, graph, order)
            if known is None:
                continue
            plan = planned(graph, order, sizes)
            applied = known.price - plan.muls
            # linear maps are priced by the code that they are
            assert applied == 0 or any(hasattr(step, "applied") for step in plan.steps)
            prices.append(known.price)
        if orders[2] is not None:
            best = priced(eliminations, graph, orders[2]).price
            assert best == min(prices)


def test_search_gains_where_there_is_something_to_gain(tmp_path):
    trace = trace_of("diagonals", tmp_path, {})
    graph, _ = graphs_of(trace)
    plain, found = Orders().candidates(graph, {})
    assert plain == sweep(graph, {})
    assert found.order.proved_optimal
    assert found.muls < 0.6 * plain.muls


def test_search_is_the_same_each_time_and_gains_on_a_rich_layer(monkeypatch):
    monkeypatch.setattr(portfolio, "MOST", 20_000)
    front = open_front(Settings(str(ROOT / "models/layers/hh_gap_junctions.py")))
    graph, _ = graphs_of(front.trace)
    sizes = dict(front.trace.sizes)
    one, other = find_order(graph, sizes), find_order(graph, sizes)
    assert one == other
    assert planned(graph, one, sizes).muls < 0.98 * sweep(graph, sizes).muls
