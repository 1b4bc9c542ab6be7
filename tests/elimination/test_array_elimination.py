"""Elimination on graphs of arrays: whatever the order, what is left is JAX's derivative."""

from __future__ import annotations

import random

import jax
import numpy as np
import pytest
from array_sources import SOURCES
from test_arrays import SIZES, check, pair

from gradgen.elimination.array_graphs import weighted_outputs
from gradgen.elimination.arrays import planned
from gradgen.search.arrays.portfolio import Orders, eliminations_of, sweep

NAMES = (
    "recurrent adaptive layer",
    "layer normalisation",
    "cross-entropy by indices",
    "einsum with three operands",
    "branch",
)


def in_any_order(graph, sizes, chance):
    """Eliminate in a random order of those that are allowed."""
    eliminations = eliminations_of(graph, sizes)
    edges, steps = eliminations.start, []
    remaining = list(eliminations.intermediates)
    while remaining:
        vertex = chance.choice([v for v in remaining if eliminations.cost(edges, v) is not None])
        edges = eliminations.without(edges, vertex)
        steps.append(vertex)
        remaining.remove(vertex)
    order = graph.order((graph.vertices[v] for v in steps), "random")
    return planned(graph, order, sizes)


@pytest.mark.parametrize("number", [0, *(pytest.param(k, marks=pytest.mark.full) for k in (1, 2))])
@pytest.mark.parametrize("name", NAMES)
def test_every_order_gives_the_derivative(name, number, tmp_path, monkeypatch):
    chance = random.Random(f"{name} {number}")
    monkeypatch.setattr(
        Orders, "candidates", lambda _, graph, sizes: [in_any_order(graph, sizes, chance)]
    )
    check(pair(tmp_path, SOURCES[name]), "float64", sets=SIZES["float64"][:1])


def test_a_gradient_takes_as_many_multiplications_as_by_hand(tmp_path):
    # of x @ w with a batch: one product for the weights, one for the input
    text = "# gradgen: shape x=(b, i) w=(i, o)\n\ndef f(x, w):\n    return x @ w\n"
    made = pair(tmp_path, f"\n{text}")
    trace = made.front.trace
    sizes = {"b": 5, "i": 7, "o": 3}
    graph = weighted_outputs(trace, {"ct0": trace.outputs[0].atom})
    assert sweep(graph, sizes).muls == 2 * 5 * 7 * 3
    with jax.enable_x64(True):
        leaves = made.leaves(SIZES["float64"][0], "float64", np.random.default_rng(0))
        out = made.flat(made.source, leaves)[0]
        pulled = made.function("_vjp")(tuple(leaves), out)
        np.testing.assert_allclose(pulled[0], out @ leaves[1].T)
        np.testing.assert_allclose(pulled[1], leaves[0].T @ out)


def test_linear_maps_that_are_applied_count_as_well(tmp_path):
    # a convolution takes a product for each weight of the kernel and place, by either operand
    text = (
        "import jax\n\n# gradgen: shape x=(b, i, h) k=(o, i, 3)\n\n\ndef f(x, k):\n"
        '    return jax.lax.conv_general_dilated(x, k, (1,), "SAME")\n'
    )
    trace = pair(tmp_path, text).front.trace
    sizes = {"b": 2, "i": 3, "o": 4, "h": 5}
    graph = weighted_outputs(trace, {"ct0": trace.outputs[0].atom})
    assert sweep(graph, sizes).muls == 2 * (3 * 2 * 3 * 4 * 5)
