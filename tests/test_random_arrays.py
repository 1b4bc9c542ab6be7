"""Random functions on arrays through the whole pipeline, each compared with JAX.

pytest tests/test_random_arrays.py                          # 16 programs, always the same
GRADGEN_EXAMPLES=3000 pytest tests/test_random_arrays.py -n 2    # others in each run
"""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path
from zlib import crc32

import jax
import pytest
from array_strategies import array_programs
from hypothesis import HealthCheck, Phase, given, note, seed, settings
from test_arrays import SIZES, check, pair

SHARDS = 4
EXAMPLES = int(os.environ.get("GRADGEN_EXAMPLES", "16"))
SEED = os.environ.get("GRADGEN_SEED", None if "GRADGEN_EXAMPLES" in os.environ else "0")


@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_arrays(shard: int) -> None:
    start = secrets.randbits(32) if SEED is None else int(SEED)
    print(f"repeat with GRADGEN_EXAMPLES={EXAMPLES} GRADGEN_SEED={start}")
    passed: set[str] = set()

    @seed(start * SHARDS + shard)
    @settings(
        max_examples=-(-EXAMPLES // SHARDS),
        database=None,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(array_programs())
    def one(text: str) -> None:
        if text in passed:
            return
        note(text)
        with tempfile.TemporaryDirectory() as folder:
            sets = SIZES["float64"]
            if "GRADGEN_EXAMPLES" not in os.environ:
                # told by the text, so that it is the same when hypothesis tries it again
                sets = [sets[crc32(text.encode()) % 2]]
            check(pair(Path(folder), text), "float64", sets=sets)
        passed.add(text)
        if len(passed) % 100 == 0:
            jax.clear_caches()

    one()
