"""Optimal windows of an elimination order, compiled.

What a window's vertices cost depends on which of them are eliminated already, not on the order of
those, so that the best order of a few vertices is found by a dynamic programme over subsets.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from gradgen.search.annealing.accumulation import PEAK, ROWS, degree, eliminate, restore, weigh
from gradgen.search.annealing.moves import advance
from gradgen.search.bitsets import NUMBER, NUMBERS, SET, SETS, Integers, Words, lowest


@njit((ROWS, NUMBER, NUMBERS, NUMBER, NUMBER, ROWS, NUMBERS), nogil=True, cache=True)
def best_window(
    rows: Words,
    objective: int,
    window: Integers,
    floor: int,
    alive: int,
    saved: Words,
    changed: Integers,
) -> int:
    """Put the vertices of a window into their best order: a dynamic programme over its subsets.

    For PEAK, what is at most `floor` counts as that, the peak of the rest of the order. Returns the
    work, counted as in `gradgen.search.annealing.moves.sweep`; 0 if there was no room for it on the
    stack, and the window stays as it is.
    """
    size = len(window)
    subsets = 1 << size
    cost = np.full(subsets, np.iinfo(np.int64).max, np.int64)
    ties = np.zeros(subsets, np.int64)
    via = np.zeros(subsets, np.int8)
    tops = np.zeros(size + 1, np.int64)
    lives = np.zeros(size + 1, np.int64)
    lives[0] = alive
    cost[0] = floor if objective == PEAK else 0
    height = work = 0
    for subset in range(subsets - 1):
        # subsets in ascending order differ by few eliminations: the lowest bits are done last
        if subset > 0:
            bit = lowest(np.uint64(subset))
            restore(rows, saved, changed, tops[height], tops[height - bit])
            height -= bit
            vertex = window[bit]
            if tops[height] + degree(rows, vertex) > len(changed):
                restore(rows, saved, changed, tops[height], 0)
                return 0
            lives[height + 1] = weigh(rows, objective, vertex, lives[height])[2]
            tops[height + 1] = eliminate(rows, vertex, saved, changed, tops[height])
            work += tops[height + 1] - tops[height]
            height += 1
        for bit in range(size):
            if subset >> bit & 1:
                continue
            more, tie, _ = weigh(rows, objective, window[bit], lives[height])
            work += 1
            new = max(cost[subset], more) if objective == PEAK else cost[subset] + more
            new_ties = ties[subset] + tie
            larger = subset | 1 << bit
            if new < cost[larger] or (new == cost[larger] and new_ties < ties[larger]):
                cost[larger], ties[larger], via[larger] = new, new_ties, bit
    restore(rows, saved, changed, tops[height], 0)
    ordered = window.copy()
    subset = subsets - 1
    for p in range(size - 1, -1, -1):
        window[p] = ordered[via[subset]]
        subset ^= 1 << via[subset]
    return work


@njit(
    (ROWS, NUMBER, NUMBERS, NUMBER, NUMBER, NUMBER, SET, ROWS, NUMBERS, SETS),
    nogil=True,
    cache=True,
)
def polish(
    rows: Words,
    objective: int,
    order: Integers,
    total: int,
    size: int,
    offset: int,
    left: Words,
    saved: Words,
    changed: Integers,
    later: Words,
) -> int:
    """Put windows of `size` vertices, which overlap by half, into their best orders in turn.

    The first window begins at `offset`. `total` is the cost of the order; the other arguments are
    those of `sweep`, and are left in the same way. Returns the work of it.
    """
    step = max(1, size // 2)
    alive = work = 0
    for p in range(len(order)):
        if p % step == offset:
            window = order[p : min(p + size, len(order))]
            work += best_window(rows, objective, window, total - 1, alive, saved, changed)
        alive = advance(rows, objective, order[p], left, later, alive)
    return work
