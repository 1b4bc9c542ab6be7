"""Random numbers for compiled search. Imports numba: import it late."""

# mypy: disable-error-code="untyped-decorator, import-untyped, no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def draw(state, bound):
    """A number below the bound (xorshift64*, so that a seed means the same everywhere)."""
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    high = (x * np.uint64(2685821657736338717)) >> np.uint64(33)
    return np.int64(high) % bound


@njit(cache=True)
def unit(state):
    """A number from 0 to 1."""
    return draw(state, 1 << 30) / (1 << 30)
