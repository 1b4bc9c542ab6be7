"""Functions with loops over time through the whole pipeline, each compared with JAX."""

from __future__ import annotations

import pytest
from loop_sources import LOOPS, loop_source
from test_arrays import SIZES, Pair, assert_verifies, check, pair

REPRESENTATIVES = {
    # matrices and rules in the carry, sequences, directions, integers, containers, layers, loops in
    # loops, no sequence, whole trajectories, counts; sums over time, masks and loops in a row are
    # in test_blocks.py
    "recurrence and spikes put out",
    "gradients by the input and the start",
    "backwards in time",
    "refractory counters",
    "a line of delays",
    "leaks and thresholds that are learned",
    "many steps within steps",
    "a machine constant in each step",
    "the whole trajectory",
    "a count known at run time alone",
    "places that a table is read at",
    "convolutions layer after layer",
    "a loss of each step, with weights over time",
    "stages of a step, each of the one before",
}
"""What the normal run takes."""
SHORTEST = {
    "recurrence and spikes put out", "the whole trajectory", "refractory counters",
    "places that a table is read at",
}  # fmt: skip
"""And where each axis has the size one, time included."""


@pytest.fixture(
    scope="module",
    params=[
        name if name in REPRESENTATIVES else pytest.param(name, marks=pytest.mark.full)
        for name in LOOPS
    ],
)
def made(request, tmp_path_factory) -> Pair:
    return pair(tmp_path_factory.mktemp("loops"), loop_source(request.param))


def test_equals_jax(made: Pair, request: pytest.FixtureRequest) -> None:
    every = request.config.getoption("--full") or request.node.callspec.params["made"] in SHORTEST
    check(made, "float64", value_ulps=1e3, sets=None if every else SIZES["float64"][:1])


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_verifies(made: Pair) -> None:
    assert_verifies(made)
