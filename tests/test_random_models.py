"""Random model functions through the whole pipeline, each compared with JAX.

    pytest tests/test_random_models.py -n 2                          # 16 models, always the same
    pytest tests/test_random_models.py -n 2 --full                   # 304, always the same
    GRADGEN_EXAMPLES=5000 pytest tests/test_random_models.py -n 2    # other models in each run
    GRADGEN_EXAMPLES=5000 GRADGEN_SEED=7 pytest ...                  # repeats a run

With GRADGEN_VERIFIED=8, one model in eight goes through gradgen's own verification as well, as on
the command line.
"""

from __future__ import annotations

import os
from collections import Counter
from zlib import crc32

import jax
import pytest
from comparing import WHOLE, Extent, check_model
from hypothesis import note
from random_runs import examples, run_shard
from strategies import Model, models

SHARDS = 8
NORMAL, FULL = 8, 304
"""In a normal run a few models, with all sorts of statements: the rest is the full matrix's."""
BRIEF = (Extent(branch_points=2), Extent(WHOLE.precisions[:1], branch_points=2))
"""What a normal run compares of its models, one or the other; other runs compare all of each."""
VERIFIED = int(os.environ.get("GRADGEN_VERIFIED", "0"))
"""One model in so many goes through gradgen's own verification; it takes seconds."""


@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_models(shard, pytestconfig):
    normal = FULL if pytestconfig.getoption("--full") else NORMAL
    count = examples(normal)
    extents = BRIEF if count == NORMAL else (WHOLE,)
    passed: set[str] = set()
    outcomes: Counter[str] = Counter()

    def check(model: Model) -> None:
        if model.text in passed:
            return
        note(f"\n{model.text}")
        verified = VERIFIED > 0 and len(passed) % VERIFIED == 0
        # told by the text, so that it is the same when hypothesis tries it again
        extent = extents[crc32(model.text.encode()) % len(extents)]
        outcome = check_model(model.text, extent, verified=verified)
        outcomes[outcome] += 1
        passed.add(model.text)

    try:
        run_shard(check, models(), shard, SHARDS, count)
    finally:
        # what XLA compiled for some hundred models takes gigabytes
        if len(passed) > 100:
            jax.clear_caches()
    print(dict(outcomes))
    # a few percent, and one or two by chance: a shard is small
    assert outcomes["refused"] <= 2 + 0.1 * outcomes.total()
    assert outcomes["untold"] <= 2 + 0.15 * outcomes.total()
    assert outcomes["exact"] >= 0.5 * outcomes.total()
