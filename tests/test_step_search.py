"""Search for edge and face orders: exact on tiny graphs, annealing, heuristics, lower bounds."""

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
    by_paths,
    carry_out,
    cheapest_vertex_order,
    kind_of_product,
    kind_of_sum,
    plain,
    price,
    random_graph,
    random_numbers,
)
from generating import ROOT, run_text

from gradgen.compile.front import Front, open_front
from gradgen.compile.graphs import graph_of
from gradgen.compile.programs import candidates
from gradgen.config import Settings
from gradgen.elimination.accumulate import accumulate, as_face_order
from gradgen.elimination.accumulation import Accumulation
from gradgen.elimination.cost import cost_of
from gradgen.elimination.face import LineGraph
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.steps import parse_edge_step, parse_face_step
from gradgen.search.heuristics import forward, propose
from gradgen.search.steps.anneal import search_steps
from gradgen.search.steps.exact import cheapest_edges, cheapest_faces
from gradgen.search.steps.heuristics import (
    markowitz_edges,
    markowitz_faces,
    propose_edges,
    propose_faces,
)
from gradgen.search.steps.items import BACK, FACE, FRONT, TIE_BITS, VERTEX
from gradgen.search.steps.path_bound import path_bound
from gradgen.search.steps.problem import Arrays, edge_steps, face_steps, items_of
from gradgen.targets.jax.render import render

LION = plain(2, [4, 5, 6, 7], "0-2 1-2 2-3 2-4 3-4 3-5 3-6 3-7")
"""Two ways to 4. Naumann's graph on which edges beat vertices."""
BAT = plain(4, [7, 8, 9, 10], "0-4 1-4 2-5 3-5 4-6 5-6 6-7 6-8 4-9 6-9 5-10 6-10")
"""4-9 and 5-10 are beside 4-6-9 and 5-6-10: each wing wants 6-9 or 6-10 to be taken back alone."""
OBJECTIVES = ("edges", "muls")


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


def brute_force_faces(graph: LinearGraph, objective: str) -> int:
    """The cheapest face order, by trying all of them; nothing is shared with the engine.

    A vertex of the line graph is the set of the paths that it contracted, with its kind.
    """
    starts, ends = set(graph.independents), set(graph.dependents)

    def tidy(vertices: dict, faces: set) -> tuple[frozenset, frozenset]:
        while True:
            before = {n: frozenset(a for a, b in faces if b == n) for n in vertices}
            after = {n: frozenset(b for a, b in faces if a == n) for n in vertices}
            ends_of = {n: (min(n)[0], min(n)[-1]) for n in vertices}
            dead = {
                n for n, (s, t) in ends_of.items()
                if (s not in starts and not before[n]) or (t not in ends and not after[n])
            }  # fmt: skip
            same = [
                (a, b) for a in vertices for b in vertices
                if a != b and (before[a], after[a], ends_of[a]) == (before[b], after[b], ends_of[b])
            ]  # fmt: skip
            if dead:
                vertices = {n: kind for n, kind in vertices.items() if n not in dead}
                faces = {face for face in faces if not dead & set(face)}
            elif same:
                a, b = same[0]
                both = a | b
                kind = kind_of_sum(vertices[a], vertices[b])
                vertices = {n: k for n, k in vertices.items() if n not in (a, b)} | {both: kind}
                name = lambda n, a=a, b=b, both=both: both if n in (a, b) else n  # noqa: E731
                faces = {(name(i), name(j)) for i, j in faces}
            else:
                return frozenset(vertices.items()), frozenset(faces)

    @cache
    def least(vertices: frozenset, faces: frozenset) -> int:
        kinds = dict(vertices)
        best = None
        for i, j in faces:
            new = frozenset(p + q[1:] for p in i for q in j)
            joined = {(a, new) for a, b in faces if b == i} | {(new, b) for a, b in faces if a == j}
            product = kind_of_product(kinds[i], kinds[j])
            state = tidy(kinds | {new: product}, (set(faces) - {(i, j)}) | joined)
            total = price(kinds[i], kinds[j], objective) + least(*state)
            best = total if best is None else min(best, total)
        return 0 if best is None else best

    vertices = {frozenset({(e.source, e.target)}): e.kind for e in graph.edges}
    faces = {(i, j) for i in vertices for j in vertices if min(i)[-1] == min(j)[0]}
    return least(*tidy(vertices, faces))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_exact_edge_search_agrees_with_brute_force(seed, objective):
    chance = random.Random(seed)
    graph = random_graph(chance, 2, 3, 2)
    order = cheapest_edges(graph, objective)
    assert order.proved_optimal
    assert cost_of(graph, order, objective) == brute_force_edges(graph, objective)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_exact_face_search_agrees_with_brute_force(seed, objective):
    chance = random.Random(seed)
    graph = random_graph(chance, 2, 2, 2)
    while len(graph.edges) > 8:
        graph = random_graph(chance, 2, 2, 2)
    order = cheapest_faces(graph, objective)
    assert order.proved_optimal
    assert cost_of(graph, order, objective) == brute_force_faces(graph, objective)


def test_exact_search_gives_up_at_its_limit():
    assert cheapest_edges(BAT, "edges", limit=10) is None
    assert cheapest_faces(BAT, "edges", limit=10) is None


def test_edges_beat_every_vertex_order_on_the_lion_graph():
    assert cheapest_vertex_order(LION, "edges") == 12
    assert brute_force_edges(LION, "edges") == 11
    steps = "back v3>v4", "front v0>v2", "front v1>v2", "front v0>v3", "front v1>v3"
    assert cost_of(LION, Order("edge", LION.fingerprint, steps, "test"), "edges") == 11
    assert cost_of(LION, search_steps(LION, "edge", "edges", start=forward(LION)), "edges") == 11


def test_faces_beat_every_edge_order_on_the_bat_graph():
    assert cheapest_vertex_order(BAT, "edges") == 24
    assert cost_of(BAT, cheapest_edges(BAT, "edges"), "edges") == 23
    found = search_steps(BAT, "face", "edges", start=forward(BAT), iterations=20_000)
    assert cost_of(BAT, found, "edges") == 22
    wings = ["v4>v6 v6>v9", "v5>v6 v6>v10"]
    assert set(wings) <= set(found.steps)
    values = random_numbers(BAT, random.Random(1))
    assert carry_out(accumulate(BAT, found), values) == by_paths(BAT, values)


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_searches_never_lose_and_replay_exactly(seed, objective):
    chance = random.Random(seed)
    graph = random_graph(chance, 3, 8, 3)
    values = random_numbers(graph, chance)
    start = propose(graph)[seed % 4]
    edges = search_steps(graph, "edge", objective, start=start, iterations=400, seed=seed)
    faces = search_steps(graph, "face", objective, start=edges, iterations=400, seed=seed)
    again = search_steps(graph, "face", objective, start=faces, iterations=50, seed=seed)
    costs = [cost_of(graph, order, objective) for order in (start, edges, faces, again)]
    assert costs == sorted(costs, reverse=True)
    assert path_bound(graph, objective) <= costs[-1]
    for order in (edges, faces, again):
        order.check()
        assert Order.from_json(order.to_json()) == order
        assert carry_out(accumulate(graph, order), values) == by_paths(graph, values)
    assert edges == search_steps(graph, "edge", objective, start=start, iterations=400, seed=seed)


@pytest.mark.parametrize("seed", range(60))
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_compiled_costs_are_those_of_the_plan(seed, objective):
    from gradgen.search.steps.anneal_kernels import run

    chance = random.Random(seed)
    graph = random_graph(chance, 3, 6, 3)
    vertices = range(len(graph.vertices))
    items = [(VERTEX, v, 0, 0, 0) for v in graph.intermediates]
    for _ in range(12):
        a, b, c = sorted(chance.sample(vertices, 3))
        kind = chance.choice((FRONT, BACK, FACE, FACE))
        items.append((kind, a, b, c, chance.randrange(3)) if kind == FACE else (kind, a, b, 0, 0))
    chance.shuffle(items)
    array = np.array(items, np.int32)
    arrays = Arrays.of(graph, objective, 100)
    used = np.zeros(len(items), np.bool_)
    for faces in (False, True):
        steps = edge_steps(graph, array)
        if faces:
            steps = face_steps(graph, arrays.faces(array))
        kind = "face" if faces else "edge"
        plan = accumulate(graph, Order(kind, graph.fingerprint, steps, "test"))
        _, cost = run(faces, arrays.graph, array, len(items), used)
        wanted = plan.edges if objective == "edges" else plan.muls
        assert divmod(cost, 1 << TIE_BITS) == (wanted, plan.edges + plan.adds)


@pytest.mark.parametrize("seed", range(30))
def test_items_of_an_order_stand_for_it(seed):
    chance = random.Random(seed)
    graph = random_graph(chance, 3, 6, 3)
    for order in propose_edges(graph):
        array = np.array(items_of(graph, order), np.int32)
        assert edge_steps(graph, array) == order.steps
        arrays = Arrays.of(graph, "muls", 100)
        face_order = as_face_order(graph, order)
        array = np.array(items_of(graph, face_order), np.int32)
        assert face_steps(graph, arrays.faces(array)) == face_order.steps


def test_a_graph_without_intermediates_has_nothing_to_search():
    graph = plain(1, [1], "0-1")
    for elimination in ("edge", "face"):
        assert search_steps(graph, elimination, "muls", start=forward(graph)).steps == ()


@pytest.mark.parametrize("seed", range(30))
def test_the_bound_holds_for_every_elimination(seed):
    chance = random.Random(seed)
    graph = random_graph(chance, 2, 3, 2)
    for objective in OBJECTIVES:
        bound = path_bound(graph, objective)
        assert bound <= brute_force_edges(graph, objective)
        found = search_steps(graph, "face", objective, start=forward(graph), iterations=500)
        assert bound <= cost_of(graph, found, objective)


@pytest.mark.parametrize("seed", range(20))
def test_heuristics_are_complete_and_choose_what_is_cheapest_now(seed):
    chance = random.Random(seed)
    graph = random_graph(chance, 3, 6, 3)
    values = random_numbers(graph, chance)
    wanted = by_paths(graph, values)
    for order in propose_faces(graph):
        assert order.elimination == "face"
        assert carry_out(accumulate(graph, order), values) == wanted
    edge_costs = [cost_of(graph, order, "muls") for order in propose_edges(graph)]
    assert edge_costs[: len(propose(graph))] == [
        cost_of(graph, order, "muls") for order in propose(graph)
    ]
    for latest in (False, True):
        state = Accumulation(graph)
        for step in map(parse_edge_step, markowitz_edges(graph, latest=latest).steps):
            fronts = {
                (state.front_cost(s, t), "front", s, t)
                for s, t in state.edge_kinds()
                if t in graph.intermediates
            }
            backs = {
                (state.back_cost(s, t), "back", s, t)
                for s, t in state.edge_kinds()
                if s in graph.intermediates
            }
            s, t = int(step.source[1:]), int(step.target[1:])
            (cost,) = [c for c, *way in fronts | backs if way == [step.direction, s, t]]
            assert cost == min(fronts | backs)[0]
            getattr(state, step.direction)(s, t)
        line = LineGraph(graph)
        for face in map(parse_face_step, markowitz_faces(graph, latest=latest).steps):
            left, right = (line.by_path[path] for path in face)
            assert line.face_cost(left, right) == min(line.face_cost(*f) for f in line.faces())
            line.eliminate(left, right)


MODEL_CASES = [
    # the cheapest vertex orders known take 11, 12 and 10 multiplications
    ("adex", None, 10),
    ("izhikevich", "v, u, I, a, b, c, d", 11),
    ("izhikevich", None, 9),
]


def model(name: str, wrt: str | None) -> tuple[Front, LinearGraph]:
    directives = () if wrt is None else (("wrt", wrt),)
    front = open_front(Settings(str(ROOT / "models" / f"{name}.py"), directives=directives))
    return front, graph_of(front)


@pytest.mark.parametrize(("name", "wrt", "cost"), MODEL_CASES)
def test_models_get_cheaper_than_by_vertices_alone(name, wrt, cost):
    _, graph = model(name, wrt)
    start = min(propose(graph), key=lambda order: cost_of(graph, order, "muls"))
    order = search_steps(graph, "edge", "muls", start=start)
    assert cost_of(graph, order, "muls") == cost
    embedded = as_face_order(graph, order)
    values = random_numbers(graph, random.Random(1))
    for found in (order, embedded):
        assert carry_out(accumulate(graph, found), values) == by_paths(graph, values)


@pytest.mark.parametrize("elimination", ["edge", "face"])
@pytest.mark.parametrize(("name", "wrt"), [("adex", None), ("izhikevich", "v, u, I, a, b, c, d")])
def test_generated_code_from_any_kind_of_order_matches_jax(name, wrt, elimination):
    front, graph = model(name, wrt)
    start = propose(graph)[0]
    order = search_steps(graph, elimination, "muls", start=start, iterations=5_000, seed=3)
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
