"""Counts of a plan, against a recount of the straight-line program that it stands for."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import pytest
from eliminating import order_of, shuffled_intermediates
from graphs import graph_with_edges, random_local_graph, reference_graph

from gradgen.elimination.accumulate import accumulate
from gradgen.elimination.cost import PLAN_OBJECTIVES, PlanCosts, plan_costs
from gradgen.ir.graph import LinearGraph
from gradgen.ir.plan import Plan
from gradgen.search.annealing import accumulation
from gradgen.search.compact import compact
from gradgen.search.heuristics import forward, reverse

CASES = [(seed, inner) for seed in range(12) for inner in (1, 3, 8, 20, 75)]


def recount(plan: Plan) -> PlanCosts:
    """What the words of docs/costs.md say about the plan as a program, read line by line.

    Numbers that are known when generating are worked with as such: only what a runtime value is
    computed from makes it one.
    """
    known: list[float | None] = []
    masks = set()
    for number, edge in enumerate(plan.graph.edges):
        known.append({"unit": 1.0, "constant": 2.5}.get(edge.kind))
        if edge.kind == "mask":
            masks.add(number)
    lines = len(plan.steps)
    reads = defaultdict(list)
    edges = muls = adds = 0
    for line, step in enumerate(plan.steps):
        left, right = known[step.left], known[step.right]
        reads[step.left].append(line)
        reads[step.right].append(line)
        both = left is not None and right is not None
        if step.op == "add":
            adds += 1
            # a sum is never one, whatever the numbers are
            known.append(2.5 if both else None)
            continue
        edges += 1
        trivial = {step.left, step.right} & masks or 1.0 in (left, right)
        muls += not (trivial or both)
        known.append(max(left, right) if both else None)
        if known[-1] is None and all(
            value in masks or known[value] == 1.0 for value in (step.left, step.right)
        ):
            masks.add(step.target)
    for _, _, value in plan.entries:
        reads[value].append(lines)
    runtime = [value for value, number in enumerate(known) if number is None]
    elemental = np.array([value < len(plan.graph.edges) for value in runtime], bool)
    first = np.array([min(reads[value]) for value in runtime], int)
    birth = np.where(elemental, first, np.array(runtime, int) - len(plan.graph.edges))
    last = np.array([max(reads[value]) for value in runtime], int)
    alive = []
    for line in range(lines + 1):
        # before the line is written, and after; an elemental is there from the line that reads it
        alive.append(((birth + ~elemental <= line) & (last >= line)).sum())
        alive.append(((birth <= line) & (last > line)).sum())
    return PlanCosts(edges, muls, adds, int(max(alive)))


@pytest.mark.parametrize(("seed", "inner"), CASES)
def test_counts_are_those_of_the_program(seed: int, inner: int) -> None:
    graph = random_local_graph(seed, inner)
    plan = accumulate(graph, order_of(graph, shuffled_intermediates(graph, seed)))
    assert plan_costs(plan) == recount(plan)


@pytest.mark.parametrize(("seed", "inner"), CASES)
def test_bit_sets_count_the_same(seed: int, inner: int) -> None:
    graph = random_local_graph(seed, inner)
    steps = shuffled_intermediates(graph, seed)
    costs = plan_costs(accumulate(graph, order_of(graph, steps)))
    for number, objective in enumerate(PLAN_OBJECTIVES):
        assert on_bit_sets(graph, steps, number) == costs.ranked(objective)


def on_bit_sets(graph: LinearGraph, steps: list[int], objective: int) -> tuple[int, int]:
    each = np.empty((len(steps), 2), np.int64)
    order = np.array(steps, np.int64)
    total, ties = accumulation.evaluate(accumulation.pack(compact(graph)), objective, order, each)
    assert ties == each[:, 1].sum()
    if objective == accumulation.PEAK:
        assert total >= each[:, 0].max(initial=0)
    else:
        assert total == each[:, 0].sum()
    return total, ties


@pytest.mark.parametrize(("seed", "inner"), CASES)
def test_eliminations_can_be_taken_back(seed: int, inner: int) -> None:
    graph = random_local_graph(seed, inner)
    rows = accumulation.pack(compact(graph))
    saved = np.empty((1000, 4, rows.shape[2]), np.uint64)
    changed = np.empty(1000, np.int64)
    before, tops = [], [0]
    for vertex in shuffled_intermediates(graph, seed)[:20]:
        before.append(rows.copy())
        tops.append(accumulation.eliminate(rows, vertex, saved, changed, tops[-1]))
    while before:
        top = tops.pop()
        accumulation.restore(rows, saved, changed, top, tops[-1])
        assert (rows == before.pop()).all()


def test_peak_of_a_chain() -> None:
    """x -> a -> b -> y: two factors are read, one product is left."""
    edges = [(0, 1, "variable"), (1, 2, "variable"), (2, 3, "variable")]
    graph = graph_with_edges(1, [3], edges)
    assert accumulate(graph, forward(graph)).peak == 2
    # a factor that is known takes no place
    graph = graph_with_edges(1, [3], [(0, 1, "variable"), (1, 2, "unit"), (2, 3, "constant")])
    assert accumulate(graph, forward(graph)).peak == 1


def test_peak_counts_entries_that_need_no_step() -> None:
    graph = graph_with_edges(2, [2], [(0, 2, "variable"), (1, 2, "variable")])
    assert accumulate(graph, forward(graph)).peak == 2


def test_ranking_breaks_ties_by_the_operations() -> None:
    costs = PlanCosts(edges=7, muls=3, adds=2, peak=5)
    assert costs.ranked("peak") == (5, 9)


def test_the_order_decides_the_peak() -> None:
    graph = reference_graph("roe_flux_1d")
    by_order = [accumulate(graph, order(graph)) for order in (forward, reverse)]
    peaks = [plan.peak for plan in by_order]
    assert peaks == [recount(plan).peak for plan in by_order]
    assert peaks[0] > 2 * peaks[1]
