"""Lower bounds and reductions: never above the optimum, and nothing is lost."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import chain, combinations
from math import inf

import numpy as np
import pytest
from eliminating import least_cost, least_cost_of_permutations
from graphs import PROVED, REFERENCE_COSTS, reference_graph, small_graphs

from gradgen.elimination.accumulate import accumulate
from gradgen.search.exact.allowance import Allowance
from gradgen.search.exact.bounds import block_bound, lower_bound, partition_bound
from gradgen.search.exact.kernels import block_table
from gradgen.search.exact.part_arrays import arrays_of
from gradgen.search.exact.partitions import STAGES, BlockValues, improve, singles
from gradgen.search.exact.reductions import is_safe, parts, reduce
from gradgen.search.exact.remainder import Remainder, members
from gradgen.search.exact.separators import disjoint_paths, vertex_bound
from gradgen.search.exact.subset_search import search_subsets
from gradgen.search.heuristics import vertex_order

OBJECTIVES = ("edges", "muls")


def split(vertices, chance):
    """A random partition into blocks of up to four."""
    vertices = list(vertices)
    chance.shuffle(vertices)
    blocks = []
    while vertices:
        size = chance.randint(1, 4)
        blocks.append(tuple(vertices[:size]))
        vertices = vertices[size:]
    return blocks


def test_the_oracle_agrees_with_all_permutations():
    for graph in small_graphs(12, 5, seed=1):
        for objective in OBJECTIVES:
            assert least_cost(graph, objective) == least_cost_of_permutations(graph, objective)


def test_costs_are_those_of_the_engine():
    chance = random.Random(2)
    for graph in small_graphs(200, 9, seed=2):
        steps = list(graph.intermediates)
        chance.shuffle(steps)
        plan = accumulate(graph, vertex_order(graph, steps, "random"))
        assert Remainder(graph, "edges").eliminate_all(steps) == plan.edges
        assert Remainder(graph, "muls").eliminate_all(steps) == plan.muls


def test_disjoint_paths_are_as_many_as_the_smallest_cut():
    def connected(adjacent, ends, closed):
        seen, waiting = {0}, [0]
        while waiting:
            for v in members(adjacent[waiting.pop()] & ~closed):
                if ends >> v & 1:
                    return True
                if v not in seen:
                    seen.add(v)
                    waiting.append(v)
        return False

    chance = random.Random(3)
    for _ in range(300):
        adjacent = [0] * 9
        for v in range(9):
            for u in range(v + 1, 9):
                adjacent[v] |= (chance.random() < 0.35) << u
        ends = sum(1 << v for v in range(4, 9) if chance.random() < 0.5)
        closed = sum(1 << v for v in range(1, 9) if chance.random() < 0.1)
        sets = chain.from_iterable(combinations(range(1, 9), k) for k in range(9))
        cut = next(
            s
            for s in sets
            if not connected(adjacent, ends & ~closed, closed | sum(1 << v for v in s))
        )
        assert disjoint_paths([[0, a, 0, 0] for a in adjacent], 0, ends, closed) == len(cut)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_no_bound_exceeds_the_optimum(objective):
    chance = random.Random(4)
    for graph in small_graphs(120, 6, seed=4):
        state = Remainder(graph, objective)
        least = least_cost(graph, objective)
        separators = sum(vertex_bound(state, v) for v in graph.intermediates)
        blocks = partition_bound(state, split(graph.intermediates, chance))
        assert separators <= blocks <= least
        assert block_bound(state, state.remaining) == least


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_vertex_bounds_hold_after_all_subsets(objective):
    chance = random.Random(5)
    for graph in small_graphs(150, 7, seed=5):
        state = Remainder(graph, objective)
        vertices = list(graph.intermediates)
        vertex = chance.choice(vertices)
        others = [v for v in vertices if v != vertex]
        later = sum(1 << v for v in others if chance.random() < 0.3)
        bound = vertex_bound(state, vertex, later)
        costs = []
        for k in range(1 << len(others)):
            chosen = sum(1 << v for i, v in enumerate(others) if k >> i & 1)
            if not chosen & later:
                after = state.copy()
                after.eliminate_all(members(chosen))
                costs.append(after.cost(vertex))
        assert bound <= min(costs)


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_what_is_safe_loses_nothing(objective):
    safe = 0
    for graph in small_graphs(150, 6, seed=6):
        state = Remainder(graph, objective)
        least = least_cost(graph, objective)
        for vertex in graph.intermediates:
            if is_safe(state, vertex):
                safe += 1
                assert least_cost(graph, objective, (vertex,)) == least
        first, cost = reduce(state)
        blocks = [tuple(members(part)) for part in parts(state)]
        assert cost + partition_bound(state, blocks) == least
        assert least_cost(graph, objective, tuple(first)) == least
    assert safe > 200


def test_compiled_blocks_are_the_plain_ones():
    chance = random.Random(7)
    for graph in small_graphs(60, 9, seed=7):
        for objective in OBJECTIVES:
            state = Remainder(graph, objective)
            arrays = arrays_of(state, state.remaining)
            for block in split(arrays.part, chance):
                table = block_table(
                    arrays.kinds, arrays.ends, np.array(block, np.int32), arrays.typed
                )
                vertices = sum(1 << v for v in arrays.named(block))
                assert table[0] == block_bound(state, vertices)
                assert table[-1] == 0


def test_partitions_improve():
    state = Remainder(reference_graph("roe_flux_1d"), "edges")
    _, cost = reduce(state)
    arrays = arrays_of(state, parts(state)[-1])
    values = BlockValues(arrays, Allowance(inf))
    blocks = singles(arrays)
    totals = [values.total(blocks)]
    for stage in STAGES[:2]:
        short = replace(stage, moves=min(stage.moves, 100))
        before, blocks = blocks, improve(values, blocks, short)
        assert improve(values, before, short) == blocks
        totals.append(values.total(blocks))
        assert sorted(v for block in blocks for v in block) == list(arrays.part)
        assert max(map(len, blocks)) <= stage.largest
    assert totals == sorted(totals)
    assert totals[0] + 50 <= totals[-1] <= REFERENCE_COSTS["roe_flux_1d"]["best"] - cost


@pytest.mark.parametrize(("name", "value"), PROVED)
def test_bounds_of_the_reference_graphs(name, value):
    assert lower_bound(reference_graph(name), "edges").value == value


ROE_BLOCKS = (
    (6, 49, 52, 53, 54),
    (7, 50, 51, 58, 59, 60, 74, 75),
    (11, 15, 17, 18, 19, 23, 25, 26, 27, 28, 37, 39, 40, 41, 44, 46),
    (12, 20, 29, 47, 55, 56, 57),
    (31, 33, 34, 35, 42, 43),
)


def test_a_partition_proves_295_for_roe_flux():
    state = Remainder(reference_graph("roe_flux_1d"), "edges")
    _, cost = reduce(state)
    assert sorted(v for block in ROE_BLOCKS for v in block) == list(members(state.remaining))
    arrays = arrays_of(state, state.remaining)
    number = {v: k for k, v in enumerate(arrays.vertices)}
    compiled = BlockValues(arrays, Allowance(inf))
    values = [compiled(frozenset(number[v] for v in block)) for block in ROE_BLOCKS]
    assert cost + sum(values) == REFERENCE_COSTS["roe_flux_1d"]["best"]
    for block, value in zip(ROE_BLOCKS, values, strict=True):
        if len(block) < 9:
            assert block_bound(state, sum(1 << v for v in block)) == value


def test_large_blocks_are_bounded_by_smaller_ones_in_them():
    for graph in small_graphs(10, 11, seed=8):
        if len(graph.intermediates) < 10:
            continue
        for objective in OBJECTIVES:
            state = Remainder(graph, objective)
            assert block_bound(state, state.remaining) == search_subsets(state, state.remaining)[1]
