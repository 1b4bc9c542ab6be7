"""Functions with loops over time through the whole pipeline, each compared with JAX."""

from __future__ import annotations

import pytest
from loop_sources import LOOPS, loop_source
from test_arrays import Pair, assert_verifies, check, pair


@pytest.fixture(scope="module", params=LOOPS)
def made(request, tmp_path_factory) -> Pair:
    return pair(tmp_path_factory.mktemp("loops"), loop_source(request.param))


def test_equals_jax(made: Pair) -> None:
    check(made, "float64")


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_verifies(made: Pair) -> None:
    assert_verifies(made)
