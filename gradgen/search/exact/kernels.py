"""Compiled parts of the exact search: elimination on arrays, separators, orders within a block.

`kinds` is the matrix of a CompactGraph; `into` and `out` hold each vertex's predecessors and
successors as sets. What is computed here is defined, slowly, by remainder.py, separators.py and
reductions.py. Importing this module imports numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean, int8, int32, int64, njit, void

from gradgen.search.bitsets import SET, SETS, drop, has, listed, popcount, put
from gradgen.search.compact import CODED, COSTS, PRODUCT, SUM

UNIT, CONSTANT, MASK, VARIABLE = (
    CODED.index(kind) + 1 for kind in ("unit", "constant", "mask", "variable")
)
KINDS = int8[:, ::1]
TABLE = int32[::1]
"""The types of arguments; without them numba compiles a function anew for each constant."""

_ZERO = np.uint64(0)


@njit("UniTuple(uint64[:, ::1], 2)(int8[:, ::1])", cache=True)
def neighbours(kinds: Any) -> Any:
    """The predecessors and successors of each vertex, as sets."""
    n = kinds.shape[0]
    words = (n + 63) // 64
    into = np.zeros((n, words), np.uint64)
    out = np.zeros((n, words), np.uint64)
    for i in range(n):
        for j in range(n):
            if kinds[i, j] != 0:
                put(into[i], j)
                put(out[j], i)
    return into, out


@njit(void(KINDS, SETS, SETS, int64), cache=True)
def eliminate(kinds: Any, into: Any, out: Any, v: Any) -> None:
    """Eliminate a vertex."""
    sources = np.empty(kinds.shape[0], np.int64)
    targets = np.empty(kinds.shape[0], np.int64)
    before, after = listed(into[v], sources), listed(out[v], targets)
    for a in range(before):
        j = sources[a]
        for b in range(after):
            i = targets[b]
            kinds[i, j] = SUM[kinds[i, j], PRODUCT[kinds[i, v], kinds[v, j]]]
            put(into[i], j)
            put(out[j], i)
        kinds[v, j] = 0
        drop(out[j], v)
    for b in range(after):
        kinds[targets[b], v] = 0
        drop(into[targets[b]], v)
    into[v, :] = _ZERO
    out[v, :] = _ZERO


@njit(int64(KINDS, SETS, SETS, int64), cache=True)
def cost(kinds: Any, into: Any, out: Any, v: Any) -> Any:
    """What eliminating a vertex costs."""
    neighbour = np.empty(kinds.shape[0], np.int64)
    before = np.zeros(COSTS.shape[0], np.int64)
    after = np.zeros(COSTS.shape[0], np.int64)
    for k in range(listed(into[v], neighbour)):
        before[kinds[v, neighbour[k]]] += 1
    for k in range(listed(out[v], neighbour)):
        after[kinds[neighbour[k], v]] += 1
    total = 0
    for a in range(1, COSTS.shape[0]):
        for b in range(1, COSTS.shape[0]):
            total += COSTS[a, b] * before[a] * after[b]
    return total


@njit(int64(SETS, int64, SET, SET), cache=True)
def _disjoint(adjacent: Any, start: Any, ends: Any, closed: Any) -> Any:
    """separators.disjoint_paths."""
    n, words = adjacent.shape
    count = 0
    first = np.empty(words, np.uint64)
    shut = closed.copy()
    any_first = _ZERO
    for w in range(words):
        direct = adjacent[start, w] & ends[w] & ~closed[w]
        count += popcount(direct)
        shut[w] |= direct
        first[w] = adjacent[start, w] & ~shut[w]
        any_first |= first[w]
    if any_first == _ZERO:
        return count
    towards = np.full(n, -1, np.int64)
    came = np.empty(2 * n, np.int64)
    waiting = np.empty(2 * n, np.int64)
    neighbour = np.empty(n, np.int64)
    row = np.empty(words, np.uint64)
    while True:
        # state 2 v + 1 is behind v, from where paths go on; 2 v in front of it
        came[:] = -1
        came[2 * start + 1] = 2 * start + 1
        waiting[0] = 2 * start + 1
        size = 1
        last = -1
        while size > 0 and last < 0:
            size -= 1
            state = waiting[size]
            v = state >> 1
            if state & 1:
                for w in range(words):
                    row[w] = adjacent[v, w] & ~shut[w]
                for k in range(listed(row, neighbour)):
                    u = neighbour[k]
                    if towards[u] != v and came[2 * u] < 0:
                        came[2 * u] = state
                        waiting[size] = 2 * u
                        size += 1
                if towards[v] >= 0 and came[2 * v] < 0:
                    came[2 * v] = state
                    waiting[size] = 2 * v
                    size += 1
            else:
                u = v if towards[v] < 0 else towards[v]
                if u != start and came[2 * u + 1] < 0:
                    came[2 * u + 1] = state
                    if has(ends, u) and towards[u] < 0:
                        last = 2 * u + 1
                    waiting[size] = 2 * u + 1
                    size += 1
        if last < 0:
            return count
        count += 1
        state = last
        while state != 2 * start + 1:
            previous = came[state]
            if previous & 1 and previous >> 1 == state >> 1:
                towards[state >> 1] = -1
            state = previous
        state = last
        while state != 2 * start + 1:
            previous = came[state]
            if previous & 1 and previous >> 1 != state >> 1:
                towards[state >> 1] = previous >> 1
            state = previous


@njit(SET(KINDS, SETS, boolean, int64, boolean, SET), cache=True)
def _reach(kinds: Any, adjacent: Any, back: Any, start: Any, known: Any, later: Any) -> Any:
    """separators._reached: through units and constants if `known`, else units and masks."""
    n, words = adjacent.shape
    other = CONSTANT if known else MASK
    reached = np.zeros(words, np.uint64)
    waiting = np.empty(n + 1, np.int64)
    neighbour = np.empty(n, np.int64)
    waiting[0] = start
    size = 1
    while size > 0:
        size -= 1
        v = waiting[size]
        for k in range(listed(adjacent[v], neighbour)):
            u = neighbour[k]
            kind = kinds[v, u] if back else kinds[u, v]
            if kind in (UNIT, other) and not has(reached, u):
                put(reached, u)
                if not has(later, u):
                    waiting[size] = u
                    size += 1
    return reached


@njit(
    "UniTuple(int64, 2)(int8[:, ::1], uint64[:, ::1], b1, int64, uint64[::1], uint64[::1], b1)",
    cache=True,
)
def side(kinds: Any, adjacent: Any, back: Any, v: Any, ends: Any, later: Any, typed: Any) -> Any:
    """separators.Side, as a pair; with `typed` false all partials are variable."""
    words = ends.shape[0]
    sinks = ends | later
    drop(sinks, v)
    if not typed:
        paid = _disjoint(adjacent, v, sinks, np.zeros(words, np.uint64))
        return paid, paid
    trivial = _reach(kinds, adjacent, back, v, False, later)
    known = _reach(kinds, adjacent, back, v, True, later)
    paid = _disjoint(adjacent, v, sinks, trivial)
    extra = _ZERO
    for w in range(words):
        extra |= known[w] & ~trivial[w]
    if extra == _ZERO:
        return paid, paid
    return paid, _disjoint(adjacent, v, sinks, trivial | known)


@njit(TABLE(KINDS, SETS, TABLE, boolean), cache=True)
def block_table(kinds: Any, ends: Any, block: Any, typed: Any) -> Any:
    """What is still to pay for a block when a subset of it is eliminated.

    `ends` holds the independents and the dependents, two sets, and `block` k vertices. Entry T of
    the (2^k,) result is the least cost of the rest under the costs of the block bound.
    """
    k = block.shape[0]
    n = kinds.shape[0]
    into, out = neighbours(kinds)
    words = into.shape[1]
    matrices = np.empty((k + 1, n, n), np.int8)
    befores = np.empty((k + 1, n, words), np.uint64)
    afters = np.empty((k + 1, n, words), np.uint64)
    matrices[0], befores[0], afters[0] = kinds, into, out
    costs = np.zeros((1 << k, k), np.int16)
    later = np.zeros(words, np.uint64)
    for subset in range(1 << k):
        # level j holds the graph without the j highest vertices of the subset
        level = 0
        lowest = -1
        for position in range(k):
            if subset >> position & 1:
                level += 1
                if lowest < 0:
                    lowest = position
        if level > 0:
            matrices[level] = matrices[level - 1]
            befores[level] = befores[level - 1]
            afters[level] = afters[level - 1]
            eliminate(matrices[level], befores[level], afters[level], block[lowest])
        later[:] = _ZERO
        for position in range(k):
            if not subset >> position & 1:
                put(later, block[position])
        m, i, o = matrices[level], befores[level], afters[level]
        for position in range(k):
            if subset >> position & 1:
                continue
            v = block[position]
            drop(later, v)
            paid_in, variable_in = side(m, i, True, v, ends[0], later, typed)
            paid_out, variable_out = side(m, o, False, v, ends[1], later, typed)
            put(later, v)
            costs[subset, position] = (
                variable_in * paid_out + (paid_in - variable_in) * variable_out
            )
    table = np.zeros(1 << k, np.int32)
    for subset in range((1 << k) - 2, -1, -1):
        least = 1 << 30
        for position in range(k):
            if not subset >> position & 1:
                value = costs[subset, position] + table[subset | 1 << position]
                if value < least:
                    least = value
        table[subset] = least
    return table
