"""Edge elimination: every legal sequence gives the same Jacobian, and vertex orders embed."""

from __future__ import annotations

import random

import pytest
from eliminating import (
    carry_out,
    jacobian_by_paths,
    kind_of_product,
    kind_of_sum,
    price,
    random_edge_order,
    random_numbers,
    random_vertex_order,
)
from graphs import random_graph, variable_graph

from gradgen.elimination.accumulate import OrderMismatchError, accumulate, as_edge_order
from gradgen.elimination.accumulation import Accumulation
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.steps import EdgeStep, parse_edge_step

CHAIN = variable_graph(1, [3], "0-1 1-2 2-3 0-2 1-3")


@pytest.mark.parametrize("seed", range(200))
def test_every_edge_order_gives_the_sum_over_paths(seed):
    chance = random.Random(seed)
    graph = random_graph(chance, chance.randint(1, 4), chance.randint(1, 7), chance.randint(1, 3))
    values = random_numbers(graph, chance)
    wanted = jacobian_by_paths(graph, values)
    for _ in range(3):
        plan = accumulate(graph, random_edge_order(graph, chance))
        plan.check()
        assert carry_out(plan, values) == wanted


def recount(graph: LinearGraph, order: Order) -> tuple[int, int, int]:
    """`edges`, `muls` and `adds` of an edge order, from the definition on a dict of kinds."""
    kinds = {(e.source, e.target): e.kind for e in graph.edges}
    counts = {"edges": 0, "muls": 0}
    adds = 0
    for step in map(parse_edge_step, order.steps):
        s, t = int(step.source[1:]), int(step.target[1:])
        if step.direction == "front":
            new = [(s, k, kinds[s, t], kind) for (v, k), kind in kinds.items() if v == t]
        else:
            new = [(i, t, kinds[s, t], kind) for (i, v), kind in kinds.items() if v == s]
        for source, target, left, right in new:
            for objective in counts:
                counts[objective] += price(left, right, objective)
            kind = kind_of_product(left, right)
            if (source, target) in kinds:
                adds += 1
                kind = kind_of_sum(kind, kinds[source, target])
            kinds[source, target] = kind
        del kinds[s, t]
        middle = t if step.direction == "front" else s
        if not (any(v == middle for _, v in kinds) and any(v == middle for v, _ in kinds)):
            kinds = {pair: kind for pair, kind in kinds.items() if middle not in pair}
    return counts["edges"], counts["muls"], adds


@pytest.mark.parametrize("seed", range(100))
def test_counts_equal_a_recount(seed):
    chance = random.Random(seed)
    graph = random_graph(chance, 3, 6, 2)
    order = random_edge_order(graph, chance)
    plan = accumulate(graph, order)
    assert (plan.edges, plan.muls, plan.adds) == recount(graph, order)
    state = Accumulation(graph)
    spent = 0
    for step in map(parse_edge_step, order.steps):
        s, t = int(step.source[1:]), int(step.target[1:])
        spent += getattr(state, f"{step.direction}_cost")(s, t)
        getattr(state, step.direction)(s, t)
    assert spent == plan.muls


@pytest.mark.parametrize("seed", range(100))
def test_a_vertex_order_costs_the_same_as_an_edge_order(seed):
    chance = random.Random(seed)
    graph = random_graph(chance, 3, 7, 3)
    order = random_vertex_order(graph, chance)
    embedded = as_edge_order(graph, order)
    assert embedded.elimination == "edge"
    plan, wanted = accumulate(graph, embedded), accumulate(graph, order)
    assert (plan.steps, plan.entries) == (wanted.steps, wanted.entries)
    assert as_edge_order(graph, embedded) == embedded


def order_of(*steps: str) -> Order:
    return Order("edge", CHAIN.fingerprint, steps, "test")


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        (["front v0>v9"], "'v9', which is not in the graph"),
        (["front v0>v3"], "no edge"),
        (["front v0>v1", "front v0>v1"], "no edge"),
        (["front v2>v3"], "not at an intermediate"),
        (["back v0>v1"], "not at an intermediate"),
        (["front v0>v1"], "leaves edges of 'v2'"),
        ([], "leaves edges of 'v1'"),
        (["v1"], "no edge step"),
        (["up v0>v1"], "no edge step"),
    ],
)
def test_an_order_that_does_not_fit_is_refused(steps, problem):
    with pytest.raises(OrderMismatchError, match=problem):
        accumulate(CHAIN, order_of(*steps))


def test_an_edge_that_comes_back_is_eliminated_again():
    # 0-2 is eliminated, and the front elimination of 0-1 brings it back
    order = order_of("front v0>v2", "front v0>v1", "front v0>v2")
    assert Order.from_json(order.to_json()) == order
    assert accumulate(CHAIN, order).edges == 4


def test_steps_of_names_with_any_characters_survive():
    names = ["p['a > b']", "%3E", "two words", "%", "x>y"]
    chance = random.Random(1)
    for _ in range(50):
        edge = EdgeStep(
            chance.choice(("front", "back")), chance.choice(names), chance.choice(names)
        )
        assert parse_edge_step(str(edge)) == edge


@pytest.mark.parametrize(
    ("kind", "steps", "problem"),
    [
        ("vertex", ["a", "a"], "a vertex is eliminated twice"),
        ("edge", ["a"], "no edge step"),
        ("edge", ["front a>b>c"], "no edge step"),
        ("face", ["a>b b>c"], "an order of faces"),
        ("vertex", [1], "not a string"),
        ("path", [], "unknown elimination 'path'"),
    ],
)
def test_a_malformed_stored_order_is_refused(kind, steps, problem):
    text = Order(kind, "f", tuple(steps), "test").to_json()
    with pytest.raises(ValueError, match=problem):
        Order.from_json(text)
