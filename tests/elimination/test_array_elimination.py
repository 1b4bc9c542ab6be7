"""Elimination on graphs of arrays: whatever the order, what is left is JAX's derivative."""

from __future__ import annotations

import random
from dataclasses import replace

import jax
import numpy as np
import pytest
from array_sources import SOURCES
from test_arrays import SIZES, check, pair

from gradgen.compile import array_programs
from gradgen.elimination.arrays import Elimination, cheapest, sweep, weighted_outputs

NAMES = (
    "recurrent adaptive layer",
    "layer normalisation",
    "cross-entropy by indices",
    "einsum with three operands",
    "branch",
)


def in_any_order(graph, sizes, chance):
    """Eliminate in a random order of those that are allowed."""
    elimination = Elimination(graph, sizes)
    remaining = list(graph.intermediates)
    while remaining:
        vertex = chance.choice([v for v in remaining if elimination.legal(v)])
        spent = elimination.muls
        price = elimination.cost(vertex)
        elimination.eliminate(vertex)
        assert elimination.muls - spent == price
        remaining.remove(vertex)
    return elimination.plan("random")


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_every_order_gives_the_derivative(name, number, tmp_path, monkeypatch):
    chance = random.Random(f"{name} {number}")
    monkeypatch.setattr(
        array_programs, "cheapest", lambda graph, sizes: in_any_order(graph, sizes, chance)
    )
    check(pair(tmp_path, SOURCES[name]), "float64")


@pytest.mark.parametrize("name", NAMES)
def test_the_cheapest_is_no_dearer_than_the_sweep(name, tmp_path):
    trace = pair(tmp_path, SOURCES[name]).front.trace
    weights = {
        f"ct{k}": o.atom for k, o in enumerate(trace.float_outputs) if isinstance(o.atom, str)
    }
    for sizes in ({}, {"batch": 1, "n": 100}, {"batch": 100, "n": 3}):
        graph = weighted_outputs(replace(trace, sizes=tuple(sizes.items())), weights)
        assert cheapest(graph, sizes).muls <= sweep(graph, sizes).muls


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
