"""Elimination: every order gives the same Jacobian, and what it costs is counted rightly."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from fractions import Fraction
from itertools import product

import pytest
from eliminating import carry_out, jacobian_by_paths, order_of, random_numbers
from generating import MODELS, ROOT, each, generate, generate_text
from graphs import FOLDER, KINDS, REFERENCE_COSTS, graph_with_edges, reference_graph
from hypothesis import given, settings
from hypothesis import strategies as st
from random_runs import cases

from gradgen.elimination.accumulate import Accumulation, OrderMismatchError, accumulate
from gradgen.elimination.extend import weight_inputs, weight_outputs
from gradgen.ir.code import Const
from gradgen.ir.graph import LinearGraph, Order
from gradgen.search.heuristics import forward, markowitz, propose, reverse


@st.composite
def graphs(draw: st.DrawFn) -> LinearGraph:
    """A random graph without dead ends: independents first, dependents last."""
    independents, inner, dependents = (draw(st.integers(1, n)) for n in (4, 8, 3))
    last = independents + inner
    pairs = set()
    for target in range(independents, last + dependents):
        below = min(target, last)
        sources = draw(st.sets(st.integers(0, below - 1), min_size=1, max_size=3))
        pairs.update((source, target) for source in sources)
    for source in range(last):
        if not any(s == source for s, _ in pairs):
            low = max(source + 1, independents)
            pairs.add((source, draw(st.integers(low, last + dependents - 1))))
    edges = [(s, t, draw(st.sampled_from(KINDS))) for s, t in sorted(pairs)]
    return graph_with_edges(independents, range(last, last + dependents), edges)


def recount(graph: LinearGraph, steps) -> tuple[int, int, int]:
    """`edges`, `muls` and `adds` of an order, by sets of pairs and COSTS.md's words alone."""
    kinds = {(e.source, e.target): e.kind for e in graph.edges}
    edges = muls = adds = 0
    for v in steps:
        into = [s for s, t in kinds if t == v]
        out = [t for s, t in kinds if s == v]
        for i, k in product(into, out):
            pair = {kinds[i, v], kinds[v, k]}
            edges += 1
            muls += not (pair & {"unit", "mask"} or pair == {"constant"})
            kind = "variable"
            if pair == {"unit"}:
                kind = "unit"
            elif pair <= {"unit", "constant"}:
                kind = "constant"
            elif pair <= {"unit", "mask"}:
                kind = "mask"
            if (i, k) in kinds:
                adds += 1
                known = {kind, kinds[i, k]} <= {"unit", "constant"}
                kind = "constant" if known else "variable"
            kinds[i, k] = kind
        kinds = {(s, t): kind for (s, t), kind in kinds.items() if v not in (s, t)}
    return edges, muls, adds


@settings(max_examples=cases(150), deadline=None)
@given(graphs(), st.randoms(use_true_random=False), st.integers(0, 2**32))
def test_every_order_gives_the_sum_over_paths(graph, chance, seed):
    values = random_numbers(graph, random.Random(seed))
    wanted = jacobian_by_paths(graph, values)
    steps = list(graph.intermediates)
    chance.shuffle(steps)
    for order in (order_of(graph, steps), *propose(graph)):
        plan = accumulate(graph, order)
        plan.check()
        found = carry_out(plan, values)
        assert set(found) == set(wanted)
        assert found == wanted
        assert {target for target, _, _ in plan.entries} <= set(graph.dependents)


@settings(max_examples=cases(150), deadline=None)
@given(graphs(), st.randoms(use_true_random=False))
def test_counts_equal_a_recount(graph, chance):
    steps = list(graph.intermediates)
    chance.shuffle(steps)
    plan = accumulate(graph, order_of(graph, steps))
    assert (plan.edges, plan.muls, plan.adds) == recount(graph, steps)
    accumulation = Accumulation(graph)
    spent = 0
    for v in steps:
        spent += accumulation.cost(v)
        accumulation.eliminate(v)
    assert spent == plan.muls


@settings(max_examples=cases(60), deadline=None)
@given(graphs(), st.randoms(use_true_random=False), st.integers(0, 2**32))
def test_vector_products_are_the_jacobian_times_the_vector(graph, chance, seed):
    values = random_numbers(graph, random.Random(seed))
    jacobian = jacobian_by_paths(graph, values)
    weights = {v: Fraction(chance.randint(-9, 9), 4) for v in range(len(graph.vertices))}
    names = {graph.vertices[v].name: f"w{v}" for v in range(len(graph.vertices))}

    outputs = weight_outputs(graph, names)
    outputs.check()
    steps = list(outputs.intermediates)
    assert set(steps) == {*graph.intermediates, *graph.dependents}
    chance.shuffle(steps)
    (last,) = outputs.dependents
    extended = {**values, **{(v, last): weights[v] for v in graph.dependents}}
    found = carry_out(accumulate(outputs, order_of(outputs, steps)), extended)
    for j in graph.independents:
        reached = [(v, jacobian[j, v]) for v in graph.dependents if (j, v) in jacobian]
        wanted = sum((weights[v] * entry for v, entry in reached), Fraction(0))
        assert found.get((j, last), 0) == wanted

    inputs = weight_inputs(graph, names)
    inputs.check()
    steps = list(inputs.intermediates)
    chance.shuffle(steps)
    extended = {(s + 1, t + 1): value for (s, t), value in values.items()}
    extended |= {(0, v + 1): weights[v] for v in graph.independents}
    found = carry_out(accumulate(inputs, order_of(inputs, steps)), extended)
    for k in graph.dependents:
        reached = [(v, jacobian[v, k]) for v in graph.independents if (v, k) in jacobian]
        wanted = sum((weights[v] * entry for v, entry in reached), Fraction(0))
        assert found[0, k + 1] == wanted


@settings(max_examples=cases(60), deadline=None)
@given(graphs())
def test_heuristics_do_as_they_are_called(graph):
    inner = [graph.vertices[v].name for v in graph.intermediates]
    assert list(forward(graph).steps) == inner
    assert list(reverse(graph).steps) == inner[::-1]
    for latest in (False, True):
        remaining = set(graph.intermediates)
        number = {vertex.name: v for v, vertex in enumerate(graph.vertices)}
        done: list[int] = []
        for name in markowitz(graph, latest=latest).steps:
            before = recount(graph, done)[1]
            costs = {v: recount(graph, [*done, v])[1] - before for v in remaining}
            cheapest = [v for v in remaining if costs[v] == min(costs.values())]
            assert number[name] == (max if latest else min)(cheapest)
            done.append(number[name])
            remaining.remove(number[name])


def test_an_order_for_another_graph_is_refused():
    graph = reference_graph("lif_2023")
    good = forward(graph)
    for steps, problem in [
        (good.steps[:-1], "leaves out"),
        ((*good.steps[:-1], "nothing"), "not in the graph"),
        ((*good.steps, graph.vertices[0].name), "no intermediate"),
        ((*good.steps, good.steps[0]), "no intermediate"),
    ]:
        with pytest.raises(OrderMismatchError, match=problem):
            accumulate(graph, Order("vertex", graph.fingerprint, steps, "test"))


def test_an_order_survives_storage():
    graph = reference_graph("lif_2023")
    for order in propose(graph):
        assert Order.from_json(order.to_json()) == order
    for text in ("{}", "[]", '"x"', "not json"):
        with pytest.raises(ValueError, match=r"."):
            Order.from_json(text)


@pytest.mark.parametrize("name", REFERENCE_COSTS)
def test_published_counts(name):
    data = json.loads((FOLDER / f"{name}.json").read_text())
    graph = reference_graph(name)
    counts = REFERENCE_COSTS[name]
    assert len(data["dependents"]) == len(graph.dependents)
    assert {e.kind for e in graph.edges} == {"variable"}
    assert accumulate(graph, forward(graph)).edges == counts["forward"]
    assert accumulate(graph, reverse(graph)).edges == counts["reverse"]
    early, late = (accumulate(graph, markowitz(graph, latest=last)) for last in (False, True))
    assert early.edges == counts["markowitz"]
    assert late.edges >= counts["best"]
    # all edges are variable, so both costs are the same
    assert (early.edges, late.edges) == (early.muls, late.muls)
    if name == "robot_arm_6dof":
        assert late.edges == counts["best"]


def all_edges(graph: LinearGraph) -> LinearGraph:
    """Without kinds: what `edges` is about."""
    edges = [(e.source, e.target, "variable") for e in graph.edges]
    return graph_with_edges(len(graph.independents), graph.dependents, edges)


def shape(graph: LinearGraph) -> set:
    """Each vertex by where it stands: nested tuples of its predecessors', inputs by what they feed.

    Two graphs of the same shape here are isomorphic, since no two vertices look alike.
    """
    below = defaultdict(set)
    above = defaultdict(set)
    for e in graph.edges:
        below[e.target].add(e.source)
        above[e.source].add(e.target)
    colours = {
        v: (v in graph.independents, v in graph.dependents) for v in range(len(graph.vertices))
    }
    for _ in graph.vertices:
        seen = {
            v: (c, tuple(sorted(map(str, (colours[u] for u in below[v])))),
                tuple(sorted(map(str, (colours[u] for u in above[v])))))
            for v, c in colours.items()
        }  # fmt: skip
        ranks = {key: k for k, key in enumerate(sorted(set(seen.values()), key=str))}
        colours = {v: (colours[v][:2], ranks[seen[v]]) for v in colours}
    assert len(set(colours.values())) == len(colours)
    return {(colours[e.source], colours[e.target]) for e in graph.edges}


def test_lif_2023_is_the_reference_graph():
    generated = generate(ROOT / "models" / "lif_2023.py")
    wanted = reference_graph("lif_2023")
    assert shape(generated.graph) == shape(wanted)
    found = all_edges(generated.graph)
    assert accumulate(found, forward(found)).edges == REFERENCE_COSTS["lif_2023"]["forward"]
    assert accumulate(found, reverse(found)).edges == REFERENCE_COSTS["lif_2023"]["reverse"]


@pytest.mark.parametrize("path", each(*MODELS))
def test_forward_order_is_forward_mode(path):
    graph = generate(path).graph
    reach: dict[int, set[int]] = {v: {v} for v in graph.independents}
    # forward mode carries to each vertex a derivative for every independent that reaches it
    products = 0
    for v in range(len(graph.vertices)):
        for e in graph.edges:
            if e.target == v:
                products += len(reach[e.source]) if e.source not in graph.independents else 0
                reach[v] = reach.get(v, set()) | reach[e.source]
    assert accumulate(graph, forward(graph)).edges == products


def test_parallel_partials_add_up(tmp_path):
    generated = generate_text(tmp_path, "def square(x, y):\n    return x * x + y * x\n")
    graph = generated.graph
    (edge,) = [e for e in graph.edges if len(e.partials) > 1]
    assert edge.partials == ("x0", "x0")
    assert all(not isinstance(p, Const) for p in edge.partials)
    entries = generated.function("jacobian_entries")(3.0, 5.0)
    assert {k: float(v) for k, v in entries.items()} == {("out", "x"): 11.0, ("out", "y"): 3.0}
