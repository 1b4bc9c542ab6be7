"""Sets of vertices for compiled search: rows of 64-bit words. Imports numba: import it late."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

# types of arguments, given so that numba makes no versions for literal arguments
NUMBER = types.int64
NUMBERS = types.int64[::1]
SET = types.uint64[::1]
SETS = types.uint64[:, ::1]

Words = NDArray[np.uint64]
Integers = NDArray[np.int64]

_ONE = np.uint64(1)


@intrinsic
def popcount(context: Any, word: Any) -> Any:
    """The number of bits that are set."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def lowest(context: Any, word: Any) -> Any:
    """The place of the lowest bit that is set; the word is not zero."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], context.get_constant(types.boolean, True))

    return types.int64(types.uint64), generate


@njit((SET, NUMBER), nogil=True, cache=True)
def has(row: Words, vertex: int) -> bool:
    """Whether a vertex is in a set."""
    return bool((row[vertex >> 6] >> np.uint64(vertex & 63)) & _ONE != 0)


@njit((SET, NUMBER), nogil=True, cache=True)
def put(row: Words, vertex: int) -> None:
    """Add a vertex to a set."""
    row[vertex >> 6] |= _ONE << np.uint64(vertex & 63)


@njit((SET, NUMBER), nogil=True, cache=True)
def drop(row: Words, vertex: int) -> None:
    """Remove a vertex from a set."""
    row[vertex >> 6] &= ~(_ONE << np.uint64(vertex & 63))


@njit((SET, NUMBERS), nogil=True, cache=True)
def listed(row: Words, found: Integers) -> int:
    """Write a set's vertices into `found`, ascending; returns how many there are."""
    count = 0
    for k in range(len(row)):
        word = row[k]
        while word != 0:
            found[count] = (k << 6) + lowest(word)
            count += 1
            word &= word - _ONE
    return count
