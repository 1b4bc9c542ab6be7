"""AlphaGrad's tasks: its counts, orders that are exact, and the sources through the pipeline."""

from __future__ import annotations

import jax
import pytest

from benchmarks.network_tasks.__main__ import PUBLISHED, SOURCES, arguments_of
from benchmarks.network_tasks.accounting import markowitz
from benchmarks.network_tasks.exactness import largest_error
from benchmarks.network_tasks.tracing import traced
from gradgen.compile.array_generation import generate_arrays
from gradgen.compile.front import open_front
from gradgen.config import Settings
from gradgen.search.arrays.portfolio import cheapest

BEST = {"random_function": 5_884, "roe_flux_3d": 784, "perceptron": 309, "encoder": 4_656}
"""What is to be reached: the best published; of the perceptron, in proportion to reverse mode."""


def graph_of(name):
    """The graph of a task, and arguments."""
    front = open_front(Settings(str(SOURCES / f"{name}.py")))
    arguments = arguments_of(front)
    return traced(front.function, arguments), arguments


@pytest.mark.parametrize("name", [n for n in PUBLISHED if n != "perceptron"])
def test_forward_and_reverse_mode_take_what_was_published(name):
    graph, _ = graph_of(name)
    inner = graph.eliminations.intermediates
    modes = [graph.eliminations.priced(steps, "") for steps in (inner, inner[::-1])]
    assert [mode.price for mode in modes] == list(PUBLISHED[name][:2])
    if name == "roe_flux_3d":
        assert markowitz(graph.accounting, graph.eliminations).price == PUBLISHED[name][2]


@pytest.mark.parametrize(
    "name", [n if n == "perceptron" else pytest.param(n, marks=pytest.mark.full) for n in PUBLISHED]
)
def test_orders_are_exact_and_at_least_as_good_as_published(name):
    with jax.enable_x64(True):
        graph, arguments = graph_of(name)
        reverse = graph.eliminations.intermediates[::-1]
        work = {"roe_flux_3d": 300_000, "perceptron": 15_000}.get(name, 60_000)
        known = [graph.eliminations.priced(reverse, "reverse")]
        found, _ = cheapest(graph.eliminations, known, work=work)
        assert found.price <= BEST[name]
        assert largest_error(graph, arguments, found.steps) < 1e-12


def test_an_order_that_leaves_a_vertex_out_is_found_out():
    with jax.enable_x64(True):
        graph, arguments = graph_of("perceptron")
        wrong = list(graph.eliminations.intermediates)
        del wrong[3]
        assert not largest_error(graph, arguments, tuple(wrong)) < 1e-3


@pytest.mark.full
@pytest.mark.parametrize("name", PUBLISHED)
def test_verifies(name):
    front = open_front(Settings(str(SOURCES / f"{name}.py")))
    assert generate_arrays(front, lambda what: None).report.exact
