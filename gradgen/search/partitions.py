"""Partitions of a graph's intermediates into blocks, for the block bound: the higher the better."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from math import exp

import numpy as np

from gradgen.search.arrays import Arrays
from gradgen.search.kernels import block_table

Blocks = tuple[tuple[int, ...], ...]


class BlockValues:
    """The block bound of sets of vertices, each computed once."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays
        self._known: dict[frozenset[int], int] = {}

    def __call__(self, block: frozenset[int]) -> int:
        """The least that eliminating these vertices costs."""
        value = self._known.get(block)
        if value is None:
            vertices = np.array(sorted(block), np.int32)
            table = block_table(self._arrays.kinds, self._arrays.ends, vertices, self._arrays.typed)
            value = self._known[block] = int(table[0])
        return value


def agglomerate(
    values: BlockValues,
    vertices: Sequence[int],
    largest: int,
    stop: Callable[[], bool],
    blocks=None,
) -> list[frozenset[int]]:
    """Merge the two blocks that gain most by it, until no gain or the largest size is left.

    A gain counts per vertex of the smaller block, so that blocks grow evenly.
    """
    blocks = list(blocks or [frozenset((v,)) for v in vertices])
    near = {b: frozenset(int(x) for v in b for x in np.flatnonzero(values._arrays.kinds[v]|values._arrays.kinds[:,v])) for b in blocks}
    while not stop():
        best = None
        for a in range(len(blocks)):
            for b in range(a):
                if len(blocks[a]) + len(blocks[b]) > largest:
                    continue
                gain = values(blocks[a] | blocks[b]) - values(blocks[a]) - values(blocks[b])
                rate = gain / min(len(blocks[a]), len(blocks[b]))
                if gain >= 0 and near[blocks[a]] & blocks[b] and (best is None or rate > best[0]):
                    best = (rate, a, b)
        if best is None:
            break
        _, a, b = best
        merged = blocks[a] | blocks[b]
        near[merged] = near[blocks[a]] | near[blocks[b]]
        blocks[b] = merged
        del blocks[a]
    return blocks


def anneal(
    values: BlockValues,
    blocks: Sequence[frozenset[int]],
    largest: int,
    moves: int,
    stop: Callable[[], bool],
) -> list[frozenset[int]]:
    """Improve a partition by moving and swapping vertices between blocks (simulated annealing).

    Worse partitions are taken with a probability that falls to nothing as the moves run out; the
    best one seen is returned. The result is the same for the same arguments, unless `stop` says so.
    """
    random_ = random.Random(0)
    current = list(blocks)
    best, rise = list(current), 0
    risen = 0
    for move in range(moves):
        if stop() or len(current) < 2:
            break
        a, b = random_.sample(range(len(current)), 2)
        first, second = current[a], current[b]
        given = random_.choice(sorted(first))
        if len(second) < largest and random_.random() < 0.5:
            new = (first - {given}, second | {given})
        else:
            taken = random_.choice(sorted(second))
            new = (first - {given} | {taken}, second - {taken} | {given})
        gain = sum(values(s) for s in new if s) - values(first) - values(second)
        temperature = 1.0 * (1 - move / moves) + 1e-9
        if gain < 0 and random_.random() >= exp(gain / temperature):
            continue
        current[a], current[b] = new
        current = [s for s in current if s]
        risen += gain
        if risen > rise:
            best, rise = list(current), risen
    return best
