"""The driver of the compiled A*: lays out its arrays, lets them grow, and watches the clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradgen.search import frontier
from gradgen.search.arrays import Arrays
from gradgen.search.kernels import block_table, neighbours

_CHUNK = 2000
"""Expansions between two looks at the clock."""


@dataclass(frozen=True)
class Found:
    """The outcome of a search in a part of a graph."""

    order: tuple[int, ...] | None
    """A cheapest order; None if the search stopped early, or no order is cheaper than the limit."""
    bound: int
    """No order costs less."""
    finished: bool
    """Whether the bound is the least cost, or the limit if nothing is cheaper."""


class Search:
    """A* for orders of a part that cost less than a limit."""

    def __init__(
        self, arrays: Arrays, blocks: Sequence[Sequence[int]], below: int, nodes: int
    ) -> None:
        """Lay out a search.

        `blocks` is a partition of the part, `below` the limit that cheaper orders are sought under,
        and `nodes` the number of sets to keep in memory at most.
        """
        self._arrays = arrays
        self._nodes = nodes
        into, out = neighbours(arrays.kinds)
        layout = _layout(arrays, blocks)
        self._graph = (arrays.kinds, into, out, arrays.ends, *layout, arrays.typed)
        self._vertices, self._bits = layout[0], layout[1]
        words = int(self._bits.max()) // 64 + 1
        places, tables = layout[3], layout[4]
        self.bound = min(below, int(sum(tables[offset] for offset in {*places[:, 3].tolist()})))
        self._below = below
        self._keys = np.zeros((0, words), np.uint64)
        self._paid = np.zeros(0, np.int32)
        self._last = np.zeros(0, np.int16)
        self._closed = np.zeros(0, np.uint8)
        self._entries = [np.zeros(0, np.int32) for _ in range(3)]
        self._heads = np.full(max(below, 0), -1, np.int32)
        self._counters = np.array([1, 1, -1, self.bound, -1], np.int64)
        self._grow(1 << 12)
        self._entries[2][0] = -1
        if self.bound < below:
            self._heads[self.bound] = 0

    def run(self, expansions: int, stop: Callable[[], bool]) -> Found:
        """Expand at most so many sets, or until `stop` says so; may be called again to go on."""
        while expansions > 0 and not stop():
            chunk = min(_CHUNK, expansions)
            outcome = frontier.explore(
                *self._graph, self._keys, self._paid, self._last, self._closed, self._slots,
                *self._entries, self._heads, self._counters, chunk,
            )
            self.bound = min(self._below, int(self._counters[frontier.TOTAL]))
            if outcome == frontier.SOLVED:
                return Found(self._order(), self.bound, True)
            if outcome == frontier.EXHAUSTED:
                return Found(None, self._below, True)
            if outcome == frontier.FULL:
                if len(self._keys) >= self._nodes:
                    break
                self._grow(2 * len(self._keys))
            expansions -= chunk
        return Found(None, self.bound, False)

    def _grow(self, nodes: int) -> None:
        count = int(self._counters[frontier.NODES])
        self._keys = _longer(self._keys, nodes)
        self._paid = _longer(self._paid, nodes)
        self._last = _longer(self._last, nodes)
        self._closed = _longer(self._closed, nodes)
        self._entries = [_longer(e, 2 * nodes) for e in self._entries]
        self._slots = np.full(2 * nodes, -1, np.int32)
        frontier.rehash(self._keys, self._slots, count)

    def _order(self) -> tuple[int, ...]:
        node = int(self._counters[frontier.GOAL])
        number = {self._keys[k].tobytes(): k for k in range(int(self._counters[frontier.NODES]))}
        steps = []
        key = self._keys[node].copy()
        while key.any():
            position = int(self._last[number[key.tobytes()]])
            steps.append(int(self._vertices[position]))
            bit = int(self._bits[position])
            key[bit // 64] ^= np.uint64(1 << bit % 64)
        return tuple(steps[::-1])


def _longer(array: NDArray[Any], length: int) -> NDArray[Any]:
    longer = np.zeros((length, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer


def _layout(
    arrays: Arrays, blocks: Sequence[Sequence[int]]
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Vertices, bits, positions, places and tables, as frontier.explore takes them.

    A block's bits lie side by side in one word of a key.
    """
    vertices: list[int] = []
    bits: list[int] = []
    places: list[tuple[int, int, int, int]] = []
    tables = []
    bit = offset = 0
    for block in blocks:
        if bit // 64 != (bit + len(block) - 1) // 64:
            bit = (bit // 64 + 1) * 64
        place = (bit // 64, bit % 64, (1 << len(block)) - 1, offset)
        for k, vertex in enumerate(block):
            vertices.append(vertex)
            bits.append(bit + k)
            places.append(place)
        bit += len(block)
        tables.append(
            block_table(arrays.kinds, arrays.ends, np.array(block, np.int32), arrays.typed)
        )
        offset += 1 << len(block)
    position_of = np.full(len(arrays.kinds), -1, np.int32)
    position_of[vertices] = np.arange(len(vertices))
    return (
        np.array(vertices, np.int32),
        np.array(bits, np.int32),
        position_of,
        np.array(places, np.int64),
        np.concatenate(tables),
    )
