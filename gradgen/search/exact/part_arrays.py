"""A part of what is left of a graph as arrays, for compiled search."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradgen.search.compact import CODED, packed
from gradgen.search.exact.remainder import KINDS, Remainder, members, union


@dataclass(frozen=True)
class Arrays:
    """The vertices of a part and those that they have edges with, numbered anew from zero."""

    vertices: tuple[int, ...]
    """The number in the graph of each."""
    part: tuple[int, ...]
    """The vertices of the part, by their new numbers."""
    kinds: NDArray[np.int8]
    """(vertices, vertices): as in CompactGraph."""
    ends: NDArray[np.uint64]
    """(2, words): the independents and the dependents as sets, 64 vertices a word."""
    typed: bool
    """Whether there are partials that are not variable."""

    def named(self, numbers: Iterable[int]) -> tuple[int, ...]:
        """Vertices by their numbers in the graph."""
        return tuple(self.vertices[v] for v in numbers)

    def named_blocks(self, blocks: Iterable[Iterable[int]]) -> tuple[tuple[int, ...], ...]:
        """A partition by the vertices' numbers in the graph, ascending in each block."""
        return tuple(sorted(self.named(sorted(block)) for block in blocks))


def arrays_of(state: Remainder, part: int) -> Arrays:
    """The arrays of a union of parts, given as a set."""
    around = part
    for vertex in members(part):
        around |= union(state.into[vertex]) | union(state.out[vertex])
    vertices = tuple(members(around))
    number = {vertex: k for k, vertex in enumerate(vertices)}
    count = len(vertices)
    kinds = np.zeros((count, count), np.int8)
    for vertex in vertices:
        for kind, sources in zip(KINDS, state.into[vertex], strict=True):
            for source in members(sources & around):
                kinds[number[vertex], number[source]] = CODED.index(kind) + 1
    limits = state.independents, state.dependents
    ends = [packed([number[v] for v in members(limit & around)], count) for limit in limits]
    variable = CODED.index("variable") + 1
    return Arrays(
        vertices,
        tuple(number[v] for v in members(part)),
        kinds,
        np.stack(ends),
        typed=bool(np.any((kinds != 0) & (kinds != variable))),
    )
