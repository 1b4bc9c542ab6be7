"""Searches by several counts at once: against all orders, and against finished plans."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from xml.etree import ElementTree

import pytest
from array_sources import SOURCES
from graphs import random_graph, random_local_graph, reference_graph
from test_arrays import pair

from gradgen.compile.front import open_front
from gradgen.config import Settings
from gradgen.elimination.accumulate import accumulate, resolve
from gradgen.elimination.array_graphs import vjp_graph
from gradgen.elimination.joining import edges_of
from gradgen.elimination.kind_table import coded_kinds
from gradgen.ir.graph import LinearGraph
from gradgen.report.front import Panel, write_fronts
from gradgen.search.arrays import portfolio
from gradgen.search.arrays.annealing import annealed
from gradgen.search.arrays.portfolio import Orders
from gradgen.search.arrays.states import Eliminations
from gradgen.search.arrays.subsets import proved
from gradgen.search.heuristics import vertex_order
from gradgen.search.pareto import explore
from gradgen.search.pareto.arrays import front_of_arrays
from gradgen.search.pareto.neurons import front_of_neurons

OBJECTIVES = (("muls",), ("peak",), ("locality",), ("muls", "peak"), ("peak", "locality"))


class RandomTable:
    """Terms are numbers modulo seven, products and sums of which are those; prices are drawn."""

    def __init__(self, chance, objectives):
        self.objectives = objectives
        self._prices = {
            (o, k, m): chance.choice((0, 1, 1, 2, 30, 900))
            for o in objectives
            for k in range(7)
            for m in range(7)
        }
        self._sizes = [chance.choice((0, 1, 5, 40)) for _ in range(7)]
        self.impossible = {(chance.randrange(7), chance.randrange(7))}

    def product(self, left, right):
        one, other = left % 7, right % 7
        if (one, other) in self.impossible:
            return None
        price = [0 if o == "peak" else self._prices[o, one, other] for o in self.objectives]
        return one * other % 7 + 7, tuple(price)

    def sum(self, one, other):
        return (one + other) % 7 + 7

    def size(self, code):
        return self._sizes[code % 7]

    def is_computed(self, code):
        return code >= 7


def random_priced(seed, objectives, inner=5):
    chance = random.Random(seed)
    graph = random_graph(chance, 2, inner, 2)
    table = RandomTable(chance, objectives)
    given = [(e.source, e.target, chance.randrange(7)) for e in graph.edges]
    edges = edges_of(len(graph.vertices), given, table.sum)
    return Eliminations(table, edges, graph.intermediates, table if "peak" in objectives else None)


def every_order(eliminations):
    found = (
        eliminations.priced(steps, "")
        for steps in itertools.permutations(eliminations.intermediates)
    )
    return [order for order in found if order is not None]


def unbeaten(costs):
    """The front, by its definition."""
    return {c for c in costs if not any(o != c and all(map(int.__le__, o, c)) for o in costs)}


@pytest.mark.parametrize("objectives", OBJECTIVES, ids="-".join)
def test_exact_search_finds_what_all_orders_come_to(objectives):
    several = 0
    for seed in range(15):
        eliminations = random_priced(seed, objectives)
        orders = every_order(eliminations)
        if not orders:
            continue
        front = unbeaten({order.costs for order in orders})
        several += len(front) > 1
        for known in ([orders[0]], [orders[-1], orders[0]]):
            found, is_proved = proved(eliminations, known, 10**6)
            assert is_proved
            assert {order.costs for order in found} == front
            assert all(eliminations.priced(o.steps, "").costs == o.costs for o in found)
        near = annealed(eliminations, orders[0], 3_000)
        assert min(front)[0] <= near.costs[0] <= orders[0].costs[0]
        assert eliminations.priced(near.steps, "").costs == near.costs
    assert (several > 1) == (len(objectives) > 1)


def test_without_work_nothing_is_proved_of_a_front():
    eliminations = random_priced(3, ("muls", "peak"), inner=8)
    known = [eliminations.priced(eliminations.intermediates, "forward")]
    assert proved(eliminations, known, 0) == (known, False)


def test_annealing_keeps_what_nothing_beats(monkeypatch):
    monkeypatch.setattr(explore, "FEW", 0)
    for seed in (1, 4, 6):
        eliminations = random_priced(seed, ("muls", "peak"))
        orders = every_order(eliminations)
        found, is_proved = explore.explore(eliminations, orders[:1], 0)
        assert not is_proved
        costs = {order.costs for order in found}
        assert costs == unbeaten(costs)
        # of so few vertices it meets them all
        assert costs == unbeaten({order.costs for order in orders})


def counts(graph: LinearGraph, order):
    plan = accumulate(graph, order)
    return plan.edges, plan.muls, plan.peak


@pytest.mark.parametrize("seed", range(12))
def test_kinds_cost_what_plans_count(seed):
    graph = random_local_graph(seed, 14)
    table, edges = coded_kinds(graph, ("edges", "muls", "peak"))
    eliminations = Eliminations(table, edges, graph.intermediates, table)
    steps = list(graph.intermediates)
    for _ in range(5):
        random.Random(seed).shuffle(steps)
        found = eliminations.priced(tuple(steps), "")
        assert found.costs == counts(graph, vertex_order(graph, steps, ""))


def test_a_front_of_neurons_has_the_counts_of_its_plans():
    graph = reference_graph("lif_2023")
    front = front_of_neurons(graph, ("edges", "peak"), ())
    assert front.complete
    for point in front.points:
        edges, _, peak = counts(graph, point.order)
        assert point.costs == (edges, peak)
        assert sorted(resolve(graph, point.order)) == list(graph.intermediates)
    assert dict(front.plain) == {"forward": (27, 12), "reverse": (25, 14), "markowitz": (22, 12)}
    assert [point.costs for point in front.points] == [(22, 12)]


@pytest.mark.parametrize("name", ["diagonals", "recurrent adaptive layer", "loss over time"])
def test_a_front_of_arrays_has_the_counts_of_its_plans(name, tmp_path, monkeypatch):
    monkeypatch.setattr(explore, "MOST", 1_000)
    monkeypatch.setattr(explore, "EXACT", 20_000)
    monkeypatch.setattr(portfolio, "EXACT", 20_000)
    monkeypatch.setattr(portfolio, "MOST", 5_000)
    text = SOURCES.get(name) or LOSS
    graph = vjp_graph(pair(tmp_path, text).front.trace)
    front = front_of_arrays(graph, ("muls", "peak"))
    again = front_of_arrays(graph, ("muls", "peak"))
    assert [p.document() for p in front.points] == [p.document() for p in again.points]
    assert [p.costs for p in front.points] == sorted(unbeaten({p.costs for p in front.points}))
    for point in front.points:
        given = (point.order, *(order for _, order in point.loops))
        (plan,) = Orders(given=given, searched="never").candidates(graph, graph.sizes)
        assert (plan.muls, plan.peak) == point.costs
        assert bool(point.loops) == (name == "loss over time")
    best = [Orders(objective=o).candidates(graph, graph.sizes) for o in ("muls", "peak")]
    assert front.points[0].costs[0] <= min(plan.muls for plan in best[0])
    assert front.points[-1].costs[1] <= min(plan.peak for plan in best[1])


LOSS = """
# gradgen: shape w=(n_in, n) xs=(time, batch, n_in) target=(batch, n)
# gradgen: wrt w

def f(w, xs, target):
    def step(v, x):
        a = jnp.tanh(v) * jnp.sin(x @ w)
        return 0.9 * v * a + a, None
    v, _ = lax.scan(step, jnp.zeros_like(target), xs)
    return jnp.mean((v - target) ** 2)
"""


def test_pictures_are_the_same_each_time_and_tell_the_numbers():
    front = front_of_neurons(reference_graph("lif_2023"), ("edges", "peak"), ())
    panel = Panel(front, "a <neuron>", ("edges", "peak"))
    text = write_fronts([panel, panel], "two & more")
    assert text == write_fronts([panel, panel], "two & more")
    root = ElementTree.fromstring(text)
    told = [element.text for element in root.iter() if element.tag.endswith("title")]
    assert told[0] == "two & more"
    assert "1: 22 edges, 12 peak" in told
    assert "reverse: 25 edges, 14 peak" in told


def test_an_objective_makes_a_layers_plan_hold_less(monkeypatch):
    monkeypatch.setattr(portfolio, "MOST", 10_000)
    path = Path(__file__).parents[2] / "models/layers/hh_gap_junctions.py"
    graph = vjp_graph(open_front(Settings(str(path))).trace)
    plain, *_, found = Orders(objective="peak").candidates(graph, graph.sizes)
    assert found.peak < 0.7 * plain.peak
