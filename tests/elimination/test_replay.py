"""The replay of an elimination, against what is reachable through the vertices that are gone."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from eliminating import order_of, shuffled_intermediates
from graphs import random_graph

from gradgen.elimination.accumulate import accumulate, as_edge_order
from gradgen.elimination.contractions import additions, contractions
from gradgen.elimination.replay import replay
from gradgen.ir.graph import LinearGraph, Order

SEEDS = range(12)


def sample(seed: int) -> tuple[LinearGraph, list[int]]:
    chance = random.Random(seed)
    graph = random_graph(chance, chance.randint(1, 4), chance.randint(2, 9), chance.randint(1, 3))
    return graph, shuffled_intermediates(graph, seed)


def orders(graph: LinearGraph, steps: list[int]) -> dict[str, Order]:
    order = order_of(graph, steps)
    return {"vertex": order, "edge": as_edge_order(graph, order)}


def joined_through(graph: LinearGraph, gone: set[int]) -> set[tuple[int, int]]:
    """The pairs of vertices that are left and that a path over vertices that are gone joins."""
    following: dict[int, set[int]] = {v: set() for v in range(len(graph.vertices))}
    for edge in graph.edges:
        following[edge.source].add(edge.target)
    pairs = set()
    for start in range(len(graph.vertices)):
        waiting, seen = list(following[start]), set()
        while waiting:
            vertex = waiting.pop()
            if vertex in seen:
                continue
            seen.add(vertex)
            if vertex in gone:
                waiting += following[vertex]
            elif start not in gone:
                pairs.add((start, vertex))
    return pairs


@pytest.mark.parametrize("seed", SEEDS)
def test_the_edges_after_each_vertex_are_the_paths_over_those_gone(seed: int) -> None:
    graph, steps = sample(seed)
    frames = replay(graph, order_of(graph, steps))
    assert len(frames) == len(steps) + 1
    for number, frame in enumerate(frames):
        found = {(source, target) for source, target, _ in frame.edges}
        assert found == joined_through(graph, set(steps[:number]))
        assert len(found) == len(frame.edges)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["vertex", "edge"])
def test_from_the_graph_to_the_jacobian(seed: int, kind: str) -> None:
    graph, steps = sample(seed)
    order = orders(graph, steps)[kind]
    plan = accumulate(graph, order)
    frames = replay(graph, order)
    assert frames[0].edges == tuple((e.source, e.target, e.kind) for e in graph.edges)
    assert frames[0].done == 0
    assert frames[-1].done == len(plan.steps)
    assert [f.done for f in frames] == sorted(f.done for f in frames)
    entries = sorted({(source, target) for target, source, _ in plan.entries})
    assert sorted({(s, t) for s, t, _ in frames[-1].edges}) == entries


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", ["vertex", "edge"])
def test_each_product_passes_over_the_vertex_between_its_factors(seed: int, kind: str) -> None:
    graph, steps = sample(seed)
    order = orders(graph, steps)[kind]
    plan = accumulate(graph, order)
    products = contractions(plan)
    assert sum(not c.free for c in products) == plan.muls
    assert len(products) == plan.edges
    assert len(additions(plan)) == plan.adds
    assert all(c.middle in graph.intermediates for c in products)
    # these orders eliminate one vertex after the other, whatever they eliminate it by
    over = list(dict.fromkeys(c.middle for c in products))
    assert over == [vertex for vertex in steps if vertex in over]


def test_an_order_for_another_graph_is_refused() -> None:
    graph, steps = sample(0)
    with pytest.raises(ValueError, match="leaves out"):
        replay(graph, replace(order_of(graph, steps), steps=()))
