"""Exact search finds the cheapest order and says rightly what it has proved."""

from __future__ import annotations

import random
import subprocess
import sys
from dataclasses import replace
from math import inf

import pytest
from eliminating import bound_by_separators, least_cost
from graphs import FOLDER, PROVED, REFERENCE_COSTS, reference_graph, small_graphs

from gradgen.elimination.accumulate import OrderMismatchError, accumulate
from gradgen.search.exact.allowance import Allowance
from gradgen.search.exact.astar import search_below
from gradgen.search.exact.part_arrays import arrays_of
from gradgen.search.exact.remainder import Remainder
from gradgen.search.exact.solve import solve
from gradgen.search.exact.subset_search import search_subsets
from gradgen.search.heuristics import markowitz, vertex_order

OBJECTIVES = ("edges", "muls")
MANY = 10**6


def chunks(items, chance):
    while items:
        size = chance.randint(1, 4)
        yield items[:size]
        items = items[size:]


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_small_graphs_are_solved(objective):
    for graph in small_graphs(120, 7, seed=11):
        result = solve(graph, objective, effort=0)
        assert result.proved
        assert result.cost == result.lower_bound == least_cost(graph, objective)
        assert getattr(accumulate(graph, result.order), objective) == result.cost
        assert result.order.proved_optimal


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_both_searches_find_the_optimum(objective):
    chance = random.Random(12)
    for graph in small_graphs(80, 8, seed=12):
        state = Remainder(graph, objective)
        order, least = search_subsets(state, state.remaining)
        assert state.copy().eliminate_all(order) == least
        if len(graph.intermediates) < 7:
            assert least == least_cost(graph, objective)
        arrays = arrays_of(state, state.remaining)
        blocks = list(chunks(chance.sample(arrays.part, len(arrays.part)), chance))
        options = {"expansions": MANY, "nodes": MANY, "allowance": Allowance(inf)}
        found = search_below(arrays, blocks, least + 3, **options)
        assert found.finished
        assert found.bound == least
        assert state.copy().eliminate_all(arrays.named(found.order)) == least
        nothing = search_below(arrays, blocks, least, **options)
        assert nothing.finished
        assert nothing.order is None
        assert nothing.bound == least


@pytest.mark.parametrize(("name", "cost"), PROVED)
def test_reference_graphs_are_solved(name, cost):
    graph = reference_graph(name)
    result = solve(graph, "edges", effort=0)
    assert (result.cost, result.lower_bound, result.proved) == (cost, cost, True)
    assert accumulate(graph, result.order).edges == cost


def test_roe_flux_is_solved():
    graph = reference_graph("roe_flux_1d")
    result = solve(graph, "edges", effort=600)
    least = REFERENCE_COSTS["roe_flux_1d"]["best"]
    assert (result.cost, result.lower_bound, result.proved) == (least, least, True)
    assert accumulate(graph, result.order).edges == least


def test_the_gap_of_a_search_cut_short_is_stated():
    graph = reference_graph("roe_flux_1d")
    result = solve(graph, "edges", effort=0)
    assert not result.proved
    assert not result.order.proved_optimal
    least = REFERENCE_COSTS["roe_flux_1d"]["best"]
    assert bound_by_separators(graph) <= result.lower_bound <= least <= result.cost
    assert result.cost == accumulate(graph, result.order).edges


def test_a_known_order_is_kept_if_nothing_is_cheaper():
    graph = reference_graph("robot_arm_6dof")
    best = markowitz(graph, latest=True)
    result = solve(graph, "edges", upper=best, effort=0)
    assert result.order == replace(best, proved_optimal=True)
    assert (result.cost, result.proved) == (221, True)
    worse = vertex_order(graph, graph.intermediates, "forward")
    assert solve(graph, "edges", upper=worse, effort=0).cost == 221


def test_an_order_of_another_graph_is_refused():
    other = markowitz(reference_graph("robot_arm_6dof"))
    with pytest.raises(OrderMismatchError):
        solve(reference_graph("lif_2023"), "edges", upper=other, effort=0)


def test_few_vertices_need_no_compiler():
    code = (
        "import sys; from pathlib import Path\n"
        "from gradgen.ir.graph_file import read_graph\n"
        "from gradgen.search.exact.solve import solve\n"
        f"graph = read_graph(Path({str(FOLDER / 'lif_2023.json')!r}).read_text())\n"
        "assert solve(graph, 'muls', effort=1).proved\n"
        "assert 'numba' not in sys.modules and 'jax' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
