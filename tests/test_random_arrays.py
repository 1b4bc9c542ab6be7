"""Random functions on arrays through the whole pipeline, each compared with JAX.

pytest tests/test_random_arrays.py                          # 16 programs, always the same
GRADGEN_EXAMPLES=3000 pytest tests/test_random_arrays.py -n 2    # others in each run
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from zlib import crc32

import jax
import pytest
from array_strategies import array_programs
from hypothesis import note
from random_runs import ASKED, examples, run_shard
from test_arrays import SIZES, check, pair

SHARDS = 4
EXAMPLES = examples(16)


@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_arrays(shard: int) -> None:
    passed: set[str] = set()

    def one(text: str) -> None:
        if text in passed:
            return
        note(text)
        with tempfile.TemporaryDirectory() as folder:
            sets = SIZES["float64"]
            if not ASKED:
                # told by the text, so that it is the same when hypothesis tries it again
                sets = [sets[crc32(text.encode()) % 2]]
            check(pair(Path(folder), text), "float64", sets=sets)
        passed.add(text)
        if len(passed) % 100 == 0:
            jax.clear_caches()

    run_shard(one, array_programs(), shard, SHARDS, EXAMPLES)
