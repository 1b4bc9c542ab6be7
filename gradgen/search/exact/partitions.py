"""Partitions of a part's vertices into blocks, for the block bound: the higher the better."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from math import exp

import numpy as np

from gradgen.search.exact.allowance import Allowance
from gradgen.search.exact.kernels import block_table
from gradgen.search.exact.part_arrays import Arrays

Block = frozenset[int]
"""Vertices, by the numbers of Arrays."""


@dataclass(frozen=True)
class Stage:
    """How a partition is improved."""

    largest: int
    """The size of a block."""
    moves: int
    """Of annealing."""
    fill: bool
    """Whether neighbours are also put together where it gains nothing yet."""


STAGES = (Stage(6, 0, False), Stage(8, 2000, True), Stage(12, 0, False), Stage(16, 0, False))
"""The stages one after the other: from a quick partition to one of large blocks."""
_LOOK, _TRY = 4, 8
"""What looking at a block takes, and what its table does for each vertex left of each subset, in
the units of an Allowance."""


class BlockValues:
    """The block bound of sets of vertices, each computed once, and counted whenever looked at."""

    def __init__(self, arrays: Arrays, allowance: Allowance) -> None:
        self.allowance = allowance
        self._arrays = arrays
        self._known: dict[Block, int] = {}

    def __call__(self, block: Block) -> int:
        """The least that eliminating these vertices costs."""
        value = self._known.get(block)
        self.allowance.spend(_LOOK)
        if value is None:
            vertices = np.array(sorted(block), np.int32)
            self.allowance.spend(_TRY * (len(vertices) << len(vertices) >> 1))
            table = block_table(self._arrays.kinds, self._arrays.ends, vertices, self._arrays.typed)
            value = self._known[block] = int(table[0])
        return value

    def total(self, blocks: Sequence[Block]) -> int:
        """The bound that a partition gives."""
        return sum(map(self, blocks))

    def gain(self, first: Block, second: Block) -> int:
        """By how much one block of two raises the bound."""
        return self(first | second) - self(first) - self(second)

    def adjacent(self, first: Block, second: Block) -> bool:
        """Whether an edge joins the two."""
        kinds = self._arrays.kinds
        a, b = sorted(first), sorted(second)
        return bool(kinds[np.ix_(a, b)].any() or kinds[np.ix_(b, a)].any())


def singles(arrays: Arrays) -> list[Block]:
    """The partition of the separator bound: each vertex a block."""
    return [frozenset((v,)) for v in arrays.part]


def improve(values: BlockValues, blocks: Sequence[Block], stage: Stage) -> list[Block]:
    """A partition made from this one whose bound is as high or higher, as far as is allowed."""
    return _anneal(values, _agglomerate(values, blocks, stage), stage)


def _agglomerate(values: BlockValues, blocks: Sequence[Block], stage: Stage) -> list[Block]:
    """Merge the two blocks that gain most by it, for each vertex of the smaller one, repeatedly."""
    blocks = list(blocks)
    while True:
        best: tuple[float, Block, Block] | None = None
        for first, second in combinations(blocks, 2):
            if len(first) + len(second) > stage.largest:
                continue
            if values.allowance.spent():
                return blocks
            gain = values.gain(first, second)
            rate = gain / min(len(first), len(second))
            if best is not None and rate <= best[0]:
                continue
            if gain > 0 or (stage.fill and gain == 0 and values.adjacent(first, second)):
                best = rate, first, second
        if best is None:
            return blocks
        _, first, second = best
        blocks = [b for b in blocks if b not in (first, second)] + [first | second]


def _anneal(values: BlockValues, blocks: Sequence[Block], stage: Stage) -> list[Block]:
    """Move and swap vertices between blocks (simulated annealing); returns the best seen.

    Worse partitions are taken with a probability that falls to nothing as the moves run out.
    """
    chance = random.Random(0)
    current = list(blocks)
    best, best_rise, rise = list(current), 0, 0
    for move in range(stage.moves):
        if values.allowance.spent() or len(current) < 2:
            break
        a, b = chance.sample(range(len(current)), 2)
        first, second = current[a], current[b]
        given = chance.choice(sorted(first))
        if len(second) < stage.largest and chance.random() < 0.5:
            new = (first - {given}, second | {given})
        else:
            taken = chance.choice(sorted(second))
            new = ((first - {given}) | {taken}, (second - {taken}) | {given})
        gain = values.total([s for s in new if s]) - values(first) - values(second)
        temperature = 1 - move / stage.moves
        if gain < 0 and chance.random() >= exp(gain / temperature):
            continue
        current[a], current[b] = new
        current = [s for s in current if s]
        rise += gain
        if rise > best_rise:
            best, best_rise = list(current), rise
    return best
