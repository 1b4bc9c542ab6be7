"""Runs of random programs: the same in each run, or as many others as the environment asks for."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

ASKED = "GRADGEN_EXAMPLES" in os.environ
"""Whether a number is asked for: then they are others in each run, which says how to repeat it."""


def examples(usual: int) -> int:
    """How many programs a run has."""
    return int(os.environ.get("GRADGEN_EXAMPLES", usual))


def cases(count: int) -> int:
    """How many random cases a property test has: in the normal run a third of so many."""
    return count // 3 if settings.default.derandomize else count


def run_shard(
    check: Callable[[Any], None], programs: SearchStrategy[Any], shard: int, shards: int, count: int
) -> None:
    """Check one of the shards that share a number of programs, a failing one made small."""
    stated = os.environ.get("GRADGEN_SEED", None if ASKED else "0")
    start = secrets.randbits(32) if stated is None else int(stated)
    print(f"repeat with GRADGEN_EXAMPLES={count} GRADGEN_SEED={start}")
    run = settings(
        max_examples=-(-count // shards),
        database=None,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )(given(programs)(check))
    seed(start * shards + shard)(run)()
