"""The search that picks a method: what it returns is true, and small graphs need no numba."""

from __future__ import annotations

import subprocess
import sys
from itertools import permutations

import pytest
from eliminating import bound_by_separators, order_of
from generating import first
from graphs import PROVED, random_local_graph, reference_graph

from gradgen.elimination.accumulate import accumulate
from gradgen.elimination.cost import PLAN_OBJECTIVES, plan_costs
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import PlanObjective
from gradgen.search import portfolio
from gradgen.search.heuristics import forward, markowitz, propose, reverse
from gradgen.search.portfolio import search


def cost(graph: LinearGraph, order: Order, objective: PlanObjective) -> tuple[int, int]:
    return plan_costs(accumulate(graph, order)).ranked(objective)


@pytest.mark.parametrize("objective", PLAN_OBJECTIVES)
@pytest.mark.parametrize("seed", first(3, range(5)))
def test_small_graphs_are_solved(seed: int, objective: PlanObjective) -> None:
    graph = random_local_graph(seed, 6, near=4)
    found = search(graph, objective=objective)
    orders = [order_of(graph, steps) for steps in permutations(graph.intermediates)]
    assert found.cost == min(cost(graph, order, objective)[0] for order in orders)
    assert found.cost == cost(graph, found.order, objective)[0] == found.lower_bound
    assert found.proved
    assert found.order.proved_optimal
    # of those with this cost, none of the heuristics has fewer operations
    assert cost(graph, found.order, objective) <= min(
        cost(graph, order, objective) for order in propose(graph)
    )


@pytest.mark.parametrize("objective", PLAN_OBJECTIVES)
def test_large_graphs_get_an_order_and_a_bound(objective: PlanObjective) -> None:
    graph = random_local_graph(1, 40, near=12)
    found = search(graph, objective=objective, budget=0.05)
    assert found.cost == cost(graph, found.order, objective)[0]
    assert found.lower_bound <= found.cost
    assert found.proved == found.order.proved_optimal == (found.cost == found.lower_bound)
    early, late = (cost(graph, markowitz(graph, latest=last), objective)[0] for last in (0, 1))
    assert dict(found.baselines) == {
        "forward": cost(graph, forward(graph), objective)[0],
        "reverse": cost(graph, reverse(graph), objective)[0],
        "markowitz": min(early, late),
    }
    assert found.cost <= min(value for _, value in found.baselines)


@pytest.mark.parametrize(("name", "cost"), PROVED)
def test_reference_graphs_are_proved(name: str, cost: int) -> None:
    found = search(reference_graph(name), objective="edges")
    assert (found.cost, found.lower_bound, found.proved) == (cost, cost, True)


def test_graphs_too_large_for_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portfolio, "MANY", 10)
    found = search(random_local_graph(1, 40), budget=0.01)
    assert (found.lower_bound, found.bound_by, found.proved) == (0, "nothing", False)


def test_it_tells_how_it_goes() -> None:
    told: list[tuple[int, int, str]] = []
    graph = random_local_graph(1, 40, near=12)
    found = search(graph, objective="adds", budget=0.05, progress=lambda *new: told.append(new))
    costs = [value for value, _, _ in told]
    assert costs == sorted(costs, reverse=True)
    assert told[-1] == (found.cost, found.lower_bound, found.found_by)
    assert all(bound <= found.cost for _, bound, _ in told)


def test_it_tells_a_bound_from_the_start() -> None:
    told: list[tuple[int, int, str]] = []
    graph = reference_graph("roe_flux_1d")
    search(graph, objective="edges", budget=0.5, progress=lambda *n: told.append(n))
    assert told[0][1] >= bound_by_separators(graph)


_WITHOUT_NUMBA = """
import sys
sys.modules["numba"] = None
from graphs import reference_graph
from gradgen.search.portfolio import search
found = search(reference_graph("human_heart_dipole"))
assert found.proved, found
"""


def test_small_graphs_need_no_numba() -> None:
    path = [*sys.path, str(portfolio.__file__).rpartition("/gradgen/")[0]]
    code = f"import sys; sys.path[:0] = {path!r}\n{_WITHOUT_NUMBA}"
    subprocess.run([sys.executable, "-c", code], check=True)
