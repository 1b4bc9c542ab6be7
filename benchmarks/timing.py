"""Times that can be compared: programs that take turns."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax


def take_turns(
    programs: Mapping[str, Callable[..., Any]],
    arguments: Sequence[Any],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each compiled program in each round, all of them in every round.

    Their order is shuffled anew in each: what follows a program may pay for what it left behind.
    With `time.process_time` they are those of the processors, which other programs take none of.
    """
    shuffled = random.Random(0)
    seconds: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(rounds):
        for name in shuffled.sample(list(programs), len(programs)):
            start = clock()
            jax.block_until_ready(programs[name](*arguments))
            seconds[name].append(clock() - start)
    return seconds
