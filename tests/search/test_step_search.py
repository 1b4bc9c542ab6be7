"""Search for edge orders: exact on tiny graphs, annealing, lower bounds."""

from __future__ import annotations

import inspect
import math
import random
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from eliminating import (
    carry_out,
    jacobian_by_paths,
    kind_of_product,
    kind_of_sum,
    least_cost,
    price,
    random_edge_order,
    random_numbers,
)
from generating import ROOT, first, run_text
from graphs import random_graph, variable_graph

from gradgen.compile.front import Front, open_front
from gradgen.compile.graphs import graph_of
from gradgen.compile.programs import candidates
from gradgen.config import Settings
from gradgen.elimination.accumulate import accumulate, as_edge_order
from gradgen.elimination.cost import cost_of
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.steps import parse_edge_step
from gradgen.search.compact import compact
from gradgen.search.heuristics import forward, propose
from gradgen.search.portfolio import search
from gradgen.search.steps.anneal import search_edges, tables
from gradgen.search.steps.exact import cheapest_edges
from gradgen.search.steps.items import BACK, FRONT, TIE_BITS, VERTEX, edge_steps, items_of
from gradgen.search.steps.path_bound import path_bound
from gradgen.targets.jax.render import render

LION = variable_graph(2, [4, 5, 6, 7], "0-2 1-2 2-3 2-4 3-4 3-5 3-6 3-7")
"""Two ways to 4. Naumann's graph on which edges beat vertices."""
BAT = variable_graph(4, [7, 8, 9, 10], "0-4 1-4 2-5 3-5 4-6 5-6 6-7 6-8 4-9 6-9 5-10 6-10")
"""4-9 and 5-10 are beside 4-6-9 and 5-6-10: each wing wants 6-9 or 6-10 to be taken back alone."""
OBJECTIVES = ("edges", "muls")
LIMIT = 50_000
"""States that exact search visits at the most."""


def brute_force_edges(graph: LinearGraph, objective: str) -> int:
    """The cheapest edge order, by trying all of them; nothing is shared with the engine."""
    inner = set(graph.intermediates)

    @cache
    def least(edges: frozenset) -> int:
        kinds = {(s, t): kind for s, t, kind in edges}
        best = None
        for (s, t), kind in kinds.items():
            ways = []
            if t in inner:
                ways.append((t, [(s, k, kind, other) for (v, k), other in kinds.items() if v == t]))
            if s in inner:
                ways.append((s, [(i, t, kind, other) for (i, v), other in kinds.items() if v == s]))
            for middle, new in ways:
                after, cost = dict(kinds), 0
                for a, b, left, right in new:
                    cost += price(left, right, objective)
                    product = kind_of_product(left, right)
                    after[a, b] = kind_of_sum(after[a, b], product) if (a, b) in after else product
                del after[s, t]
                if not any(middle == a for a, _ in after) or not any(middle == b for _, b in after):
                    after = {pair: kept for pair, kept in after.items() if middle not in pair}
                total = cost + least(frozenset((a, b, kept) for (a, b), kept in after.items()))
                best = total if best is None else min(best, total)
        return 0 if best is None else best

    return least(frozenset((e.source, e.target, e.kind) for e in graph.edges))


@pytest.mark.parametrize("seed", first(8, range(20)))
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_exact_edge_search_agrees_with_brute_force(seed, objective):
    chance = random.Random(seed)
    graph = random_graph(chance, 2, 3, 2)
    order = cheapest_edges(graph, objective, limit=LIMIT)
    assert order.proved_optimal
    assert cost_of(graph, order, objective) == brute_force_edges(graph, objective)


def test_exact_search_gives_up_at_its_limit():
    assert cheapest_edges(BAT, "edges", limit=10) is None


def test_edges_beat_every_vertex_order_on_the_lion_graph():
    assert least_cost(LION, "edges") == 12
    assert brute_force_edges(LION, "edges") == 11
    steps = "back v3>v4", "front v0>v2", "front v1>v2", "front v0>v3", "front v1>v3"
    assert cost_of(LION, Order("edge", LION.fingerprint, steps, "test"), "edges") == 11
    assert cost_of(LION, search_edges(LION, "edges", start=forward(LION)), "edges") == 11


def test_edges_beat_every_vertex_order_on_the_bat_graph():
    assert least_cost(BAT, "edges") == 24
    assert cost_of(BAT, cheapest_edges(BAT, "edges", limit=LIMIT), "edges") == 23
    found = search_edges(BAT, "edges", start=forward(BAT), iterations=20_000)
    assert cost_of(BAT, found, "edges") == 23
    values = random_numbers(BAT, random.Random(1))
    assert carry_out(accumulate(BAT, found), values) == jacobian_by_paths(BAT, values)


@pytest.mark.parametrize("seed", first(10, range(25)))
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_searches_never_lose_and_replay_exactly(seed, objective):
    chance = random.Random(seed)
    graph = random_graph(chance, 3, 8, 3)
    values = random_numbers(graph, chance)
    start = propose(graph)[seed % 4]
    found = search_edges(graph, objective, start=start, iterations=400, seed=seed)
    costs = [cost_of(graph, order, objective) for order in (start, found)]
    assert path_bound(graph, objective) <= costs[1] <= costs[0]
    found.check()
    assert Order.from_json(found.to_json()) == found
    assert carry_out(accumulate(graph, found), values) == jacobian_by_paths(graph, values)
    assert found == search_edges(graph, objective, start=start, iterations=400, seed=seed)


@pytest.mark.parametrize("seed", first(25, range(60)))
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_compiled_costs_are_those_of_the_plan(seed, objective):
    from gradgen.search.steps.edge_kernels import run_edges

    chance = random.Random(seed)
    graph = random_graph(chance, 3, 6, 3)
    vertices = range(len(graph.vertices))
    items = [(VERTEX, v, 0) for v in graph.intermediates]
    for _ in range(12):
        items.append((chance.choice((FRONT, BACK)), *sorted(chance.sample(vertices, 2))))
    chance.shuffle(items)
    array = np.array(items, np.int32)
    kinds = compact(graph).kinds
    inner = np.isin(vertices, graph.intermediates)
    used = np.zeros(len(items), np.bool_)
    order = Order("edge", graph.fingerprint, edge_steps(graph, array), "test")
    plan = accumulate(graph, order)
    cost = run_edges(kinds, kinds.copy(), inner, tables(objective), array, len(items), used)
    wanted = plan.edges if objective == "edges" else plan.muls
    assert divmod(cost, 1 << TIE_BITS) == (wanted, plan.edges + plan.adds)


@pytest.mark.parametrize("seed", first(12, range(30)))
def test_items_of_an_order_stand_for_it(seed):
    chance = random.Random(seed)
    graph = random_graph(chance, 3, 6, 3)
    for order in propose(graph):
        assert edge_steps(graph, items_of(graph, order)) == as_edge_order(graph, order).steps
    number = {vertex.name: v for v, vertex in enumerate(graph.vertices)}
    order = random_edge_order(graph, chance)
    items = [
        (FRONT if step.direction == "front" else BACK, number[step.source], number[step.target])
        for step in map(parse_edge_step, order.steps)
    ]
    assert edge_steps(graph, np.array(items, np.int32)) == order.steps


def test_a_graph_without_intermediates_has_nothing_to_search():
    graph = variable_graph(1, [1], "0-1")
    assert search_edges(graph, "muls", start=forward(graph)).steps == ()


@pytest.mark.parametrize("seed", first(15, range(30)))
def test_the_bound_holds_for_every_elimination(seed):
    chance = random.Random(seed)
    graph = random_graph(chance, 2, 3, 2)
    for objective in OBJECTIVES:
        assert path_bound(graph, objective) <= brute_force_edges(graph, objective)


MODEL_CASES = [("adex", None), ("izhikevich", "v, u, I, a, b, c, d"), ("izhikevich", None)]


def model(name: str, wrt: str | None) -> tuple[Front, LinearGraph]:
    directives = () if wrt is None else (("wrt", wrt),)
    front = open_front(Settings(str(ROOT / "models" / f"{name}.py"), directives=directives))
    return front, graph_of(front)


@pytest.mark.parametrize(
    ("name", "wrt"),
    [MODEL_CASES[0], pytest.param(*MODEL_CASES[1], marks=pytest.mark.full), MODEL_CASES[2]],
)
def test_models_get_cheaper_than_by_vertices_alone(name, wrt):
    _, graph = model(name, wrt)
    start = min(propose(graph), key=lambda order: cost_of(graph, order, "muls"))
    order = search_edges(graph, "muls", start=start)
    by_vertices = search(graph, objective="muls")
    assert by_vertices.proved
    assert cost_of(graph, order, "muls") < by_vertices.cost
    values = random_numbers(graph, random.Random(1))
    assert carry_out(accumulate(graph, order), values) == jacobian_by_paths(graph, values)


@pytest.mark.parametrize(
    ("name", "wrt"), [pytest.param(*MODEL_CASES[0], marks=pytest.mark.full), MODEL_CASES[1]]
)
def test_generated_code_from_an_edge_order_matches_jax(name, wrt):
    front, graph = model(name, wrt)
    start = propose(graph)[0]
    order = search_edges(graph, "muls", start=start, iterations=5_000, seed=3)
    module = candidates(front, graph, (order,))[0]
    assert module.jacobian.chosen.order == order
    text = render(module)
    running = run_text(text)
    assert running.GRADGEN["elimination"] == order.elimination
    assert running.GRADGEN["order"] == order.steps
    chance = random.Random(5)
    parameters = inspect.signature(front.function).parameters.values()
    argnums = tuple(k for k, p in enumerate(parameters) if wrt or p.default is p.empty)
    with jax.enable_x64(True):
        for _ in range(3):
            point = [
                p.default if p.default is not p.empty else chance.uniform(-60.0, -20.0)
                for p in parameters
            ]
            point = [jnp.asarray(value, jnp.float64) for value in point]
            wanted = jax.jacfwd(front.function, argnums=argnums)(*point)
            found = getattr(running, f"{front.source.function}_jacobian")(*point)
            assert jax.tree.structure(found) == jax.tree.structure(wanted)
            for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
                assert math.isclose(float(a), float(b), rel_tol=1e-11, abs_tol=1e-13)
