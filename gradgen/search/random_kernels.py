"""Random numbers for compiled search, from integers alone: a seed means the same everywhere.

Imports numba: import it late.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray


@njit("int64(uint64[::1], int64)", nogil=True, cache=True)
def draw(state: NDArray[np.uint64], bound: int) -> int:
    """A random integer below `bound`: xorshift64* (Vigna, 2016)."""
    x = state[0]
    x ^= x >> np.uint64(12)
    x ^= x << np.uint64(25)
    x ^= x >> np.uint64(27)
    state[0] = x
    return int((x * np.uint64(2685821657736338717)) >> np.uint64(33)) % bound


@njit("float64(uint64[::1])", nogil=True, cache=True)
def unit(state: NDArray[np.uint64]) -> float:
    """A number from 0 to 1."""
    drawn: int = draw(state, 1 << 30)
    return drawn / (1 << 30)
