"""What one loop alone reads is computed in it, and nothing of it is stored for all steps."""

from __future__ import annotations

from functools import partial
from math import prod

import jax
import numpy as np
import pytest
from loop_sources import loop_source
from test_arrays import pair
from test_networks import equations

SIZE = {"batch": 3, "n": 5, "n_in": 2, "time": 7}


@pytest.mark.parametrize(
    "name", ["backwards in time", pytest.param("steps within steps", marks=pytest.mark.full)]
)
def test_nothing_as_long_as_time_is_multiplied_before_a_backward_loop(tmp_path, name) -> None:
    """The source squares differences of all steps: their derivatives are taken step by step."""
    made = pair(tmp_path, loop_source(name))
    leaves = made.leaves(tuple(SIZE.values()), "float32", np.random.default_rng(0))
    flat = partial(made.flat, made.function("_value_and_grad"))
    found = list(equations(jax.make_jaxpr(flat)(leaves).jaxpr))
    assert any(e.primitive.name == "mul" for e, inside in found if inside)
    outside = [e for e, inside in found if not inside and e.primitive.name in ("mul", "div")]
    long = SIZE["batch"] * SIZE["n"] * SIZE["time"]
    assert all(prod(v.aval.shape) < long for e in outside for v in e.outvars)
