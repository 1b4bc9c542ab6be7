"""Learning online on arrays: traces against backpropagation through time."""

from __future__ import annotations

import jax
import pytest
from learning_online import EMIT, Run, compare
from test_arrays import pair
from trace_sources import COUPLED, UNCOUPLED


@pytest.mark.parametrize("name", UNCOUPLED)
def test_exact_without_coupling(name, tmp_path):
    with jax.enable_x64(True):
        run = Run(pair(tmp_path, UNCOUPLED[name], emit=EMIT))
        compare(run.online, run.through_time, run, 1e-12)


@pytest.mark.parametrize("name", COUPLED)
def test_full_is_exact(name, tmp_path):
    with jax.enable_x64(True):
        run = Run(pair(tmp_path, COUPLED[name], emit=EMIT, locality="full"))
        compare(run.online, run.through_time, run, 1e-10)
