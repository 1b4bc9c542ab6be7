"""What is left of a graph as arrays, for compiled search."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradgen.search.compact import CODED
from gradgen.search.remainder import KINDS, Remainder, members


@dataclass(frozen=True)
class Arrays:
    """The edges as a matrix of kinds, and where paths end."""

    kinds: NDArray[np.int8]
    """(vertices, vertices): as in CompactGraph."""
    ends: NDArray[np.uint64]
    """(2, words): the independents and the dependents as sets, 64 vertices a word."""
    typed: bool
    """Whether there are partials that are not variable."""


def arrays_of(state: Remainder) -> Arrays:
    """The arrays of what is left of a graph."""
    count = len(state.into)
    kinds = np.zeros((count, count), np.int8)
    for vertex, into in enumerate(state.into):
        for kind, sources in zip(KINDS, into, strict=True):
            kinds[vertex, list(members(sources))] = CODED.index(kind) + 1
    ends = np.zeros((2, (count + 63) // 64), np.uint64)
    for row, vertices in zip(ends, (state.independents, state.dependents), strict=True):
        for vertex in members(vertices):
            row[vertex // 64] |= np.uint64(1 << vertex % 64)
    variable = CODED.index("variable") + 1
    return Arrays(kinds, ends, bool(np.any((kinds != 0) & (kinds != variable))))
