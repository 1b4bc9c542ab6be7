"""Face elimination: every legal sequence gives the same Jacobian, and the other kinds embed."""

from __future__ import annotations

import random

import pytest
from eliminating import (
    by_paths,
    carry_out,
    plain,
    random_graph,
    random_numbers,
    random_vertex_order,
)
from test_edge_elimination import random_edge_order

from gradgen.elimination.accumulate import OrderMismatchError, accumulate, as_face_order
from gradgen.elimination.face import LineGraph
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.steps import abbreviate

CHAIN = plain(1, [3], "0-1 1-2 2-3 0-2 1-3")


def random_face_order(graph: LinearGraph, chance: random.Random) -> Order:
    """Eliminate random faces until none is left."""
    state = LineGraph(graph)
    steps = []
    while faces := state.faces():
        face = chance.choice(faces)
        steps.append(state.name(*face))
        state.eliminate(*face)
        check_line_graph(graph, state)
    order = Order("face", graph.fingerprint, tuple(steps), "test")
    order.check()
    return order


def check_line_graph(graph: LinearGraph, state: LineGraph) -> None:
    """Faces join adjacent edges; none is a dead end; no two are the same; each path has one."""
    seen = set()
    for number, (source, target) in state.ends.items():
        before, after = state.predecessors[number], state.successors[number]
        assert before
        assert after
        if source in graph.independents:
            assert before == {-1 - source}
        else:
            assert {state.ends[p][1] for p in before} == {source}
            assert all(number in state.successors[p] for p in before)
        if target in graph.dependents:
            assert after == {-1 - target}
        else:
            assert {state.ends[s][0] for s in after} == {target}
            assert all(number in state.predecessors[s] for s in after)
        same = source, target, frozenset(before), frozenset(after)
        assert same not in seen
        seen.add(same)
    assert state.by_path == {abbreviate(path): n for n, path in state.path.items()}
    assert len(state.by_path) == len(state.ends)


@pytest.mark.parametrize("seed", range(120))
def test_every_face_order_gives_the_sum_over_paths(seed):
    chance = random.Random(seed)
    graph = random_graph(chance, chance.randint(1, 4), chance.randint(1, 6), chance.randint(1, 3))
    values = random_numbers(graph, chance)
    wanted = by_paths(graph, values)
    for _ in range(3):
        plan = accumulate(graph, random_face_order(graph, chance))
        plan.check()
        assert carry_out(plan, values) == wanted


@pytest.mark.parametrize("seed", range(80))
def test_other_orders_cost_the_same_as_face_orders(seed):
    chance = random.Random(seed)
    graph = random_graph(chance, 3, 7, 3)
    for order in (random_vertex_order(graph, chance), random_edge_order(graph, chance)):
        embedded = as_face_order(graph, order)
        embedded.check()
        assert embedded.elimination == "face"
        plan, wanted = accumulate(graph, embedded), accumulate(graph, order)
        assert (plan.edges, plan.muls, plan.adds) == (wanted.edges, wanted.muls, wanted.adds)
        assert plan.entries == wanted.entries
        assert as_face_order(graph, embedded) == embedded


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        (["v0>v1 v1>v9"], "no face"),
        (["v0>v2 v2>v4"], "no face"),
        (["v0>v1 v1>v2", "v0>v1 v1>v2"], "no face"),
        (["v0>v1>v2 v2>v3"], "no face"),
        (["v0>v1 v1>v2"], "leaves the face"),
        (["v0>v1"], "no face step"),
    ],
)
def test_an_order_that_does_not_fit_is_refused(steps, problem):
    with pytest.raises(OrderMismatchError, match=problem):
        accumulate(CHAIN, Order("face", CHAIN.fingerprint, tuple(steps), "test"))


def test_parallel_edges_are_told_apart_by_their_paths():
    graph = plain(1, [3, 4], "0-1 0-2 1-2 2-3 2-4")
    state = LineGraph(graph)

    def eliminate(*paths: str) -> None:
        state.eliminate(*(state.by_path[tuple(f"v{v}" for v in path)] for path in paths))

    eliminate("02", "23")
    eliminate("01", "12")
    # 0-2 leads on to 4 alone, what came through 1 also to 3
    assert state.between(0, 2) == [state.by_path["v0", "v2"], state.by_path["v0", "v1", "v2"]]
    eliminate("012", "23")
    # now the two are the same
    assert state.between(0, 2) == [state.by_path["v0", "v2"]]
    eliminate("02", "24")
    assert sorted(state.path.values()) == [("v0", "v2", "v3"), ("v0", "v2", "v4")]
    assert (state.plan().edges, state.plan().adds) == (4, 2)
