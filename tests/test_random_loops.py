"""Random losses with loops over time through the whole pipeline, each compared with JAX.

pytest tests/test_random_loops.py                                # 8 programs, always the same
GRADGEN_EXAMPLES=500 pytest tests/test_random_loops.py -n 2      # others in each run
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from zlib import crc32

import jax
import pytest
from hypothesis import note
from loop_strategies import losses
from random_runs import ASKED, examples, run_shard
from test_arrays import SIZES, check, pair

from gradgen.errors import GradgenError

SHARDS = 4
EXAMPLES = examples(8)
CONSTANT = "depends differentiably"
"""Of a loss that what it is differentiated by does not reach."""


WAYS = (
    {},
    pytest.param({"blocks": "2"}, marks=pytest.mark.full),
    pytest.param({"segments": "2"}, marks=pytest.mark.full),
)
"""Of running loops."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_loops(shard: int, way: dict[str, str]) -> None:
    passed: set[str] = set()
    constant: set[str] = set()

    def one(text: str) -> None:
        if text in passed | constant:
            return
        note(text)
        with tempfile.TemporaryDirectory() as folder:
            try:
                made = pair(Path(folder), text, **way)
            except GradgenError as error:
                if CONSTANT not in error.message:
                    raise
                constant.add(text)
                return
            sets = SIZES["float64"]
            if not ASKED:
                # told by the text, so that it is the same when hypothesis tries it again
                sets = [sets[crc32(text.encode()) % 2]]
            check(made, "float64", value_ulps=1e4, sets=sets)
        passed.add(text)
        if len(passed) % 50 == 0:
            jax.clear_caches()

    run_shard(one, losses(), shard, SHARDS, EXAMPLES)
    assert len(constant) <= 1 + len(passed)
