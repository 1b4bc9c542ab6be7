"""The rules of reductions.py, compiled. Importing this module imports numba."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import boolean, int64, njit

from gradgen.search.bitsets import NUMBERS, SET, SETS, has, listed, put
from gradgen.search.exact.kernels import CONSTANT, KINDS, MASK, UNIT, VARIABLE, cost, side

_ZERO = np.uint64(0)


_CLOSURES = [
    f"uint64[::1](UniTuple(uint64[:, ::1], {count}), int64, int64, uint64[::1], b1)"
    for count in (1, 2)
]


@njit(_CLOSURES, cache=True)
def _closure(adjacent: Any, start: Any, closed: Any, within: Any, everywhere: Any) -> Any:
    """The vertices that paths from a vertex reach, none through `closed`, inside `within`."""
    n, words = adjacent[0].shape
    reached = np.zeros(words, np.uint64)
    waiting = np.empty(n + 1, np.int64)
    neighbour = np.empty(n, np.int64)
    waiting[0] = start
    size = 1
    while size > 0:
        size -= 1
        v = waiting[size]
        for direction in range(len(adjacent)):
            for k in range(listed(adjacent[direction][v], neighbour)):
                u = neighbour[k]
                if u != closed and not has(reached, u) and (everywhere or has(within, u)):
                    put(reached, u)
                    waiting[size] = u
                    size += 1
    return reached


@njit(boolean(KINDS, SETS, SETS, boolean, int64, SETS, SET, boolean), cache=True)
def _merges(
    kinds: Any, near: Any, far: Any, back: Any, v: Any, ends: Any, remaining: Any, typed: Any
) -> Any:
    """reductions._merges_back with `back`, else reductions._merges_on."""
    n, words = near.shape
    neighbour = np.empty(n, np.int64)
    if listed(near[v], neighbour) != 1:
        return False
    p = neighbour[0]
    stays = has(ends[0 if back else 1], p)
    alone = listed(far[p], neighbour) == 1
    if not stays and not alone:
        return False
    kind = kinds[v, p] if back else kinds[p, v]
    count = listed(far[v], neighbour)
    variable = True
    for k in range(count):
        u = neighbour[k]
        if stays and not has(remaining, u):
            continue
        other = kinds[u, v] if back else kinds[v, u]
        if other != VARIABLE:
            variable = False
            if kind != UNIT and (other != kind or kind == VARIABLE):
                return False
    if not alone and not variable:
        reached = _closure((far,), v, -1, remaining, True)
        others = _closure((far,), p, v, remaining, True)
        for w in range(words):
            if reached[w] & others[w] & remaining[w] != _ZERO:
                return False
    if kind in (UNIT, MASK) or (not typed and count == 1):
        return True
    none = np.zeros(words, np.uint64)
    paid, least = side(kinds, far, not back, v, ends[1 if back else 0], none, typed)
    if kind == VARIABLE:
        least = paid
    if not stays:
        paid, fewer = side(kinds, near, back, p, ends[0 if back else 1], none, typed)
        if kind == VARIABLE:
            fewer = paid
        least = min(least, fewer)
    needed = 0
    for k in range(count):
        other = kinds[neighbour[k], v] if back else kinds[v, neighbour[k]]
        if other == VARIABLE or (other == CONSTANT and kind == VARIABLE):
            needed += 1
    return needed <= least


@njit(boolean(KINDS, SETS, SETS, int64, SETS, boolean), cache=True)
def _adds_nothing(kinds: Any, into: Any, out: Any, v: Any, ends: Any, typed: Any) -> Any:
    """reductions._adds_nothing."""
    n, words = into.shape
    sources = np.empty(n, np.int64)
    targets = np.empty(n, np.int64)
    before, after = listed(into[v], sources), listed(out[v], targets)
    for a in range(before):
        for b in range(after):
            if kinds[targets[b], sources[a]] != VARIABLE:
                return False
    none = np.zeros(words, np.uint64)
    paid_in, variable_in = side(kinds, into, True, v, ends[0], none, typed)
    paid_out, variable_out = side(kinds, out, False, v, ends[1], none, typed)
    least = variable_in * paid_out + (paid_in - variable_in) * variable_out
    return cost(kinds, into, out, v) <= least


@njit(int64(KINDS, SETS, SETS, SETS, SET, int64, boolean, NUMBERS), cache=True)
def branches(
    kinds: Any, into: Any, out: Any, ends: Any, remaining: Any, start: Any, typed: Any, found: Any
) -> Any:
    """subset_search.branches: writes vertices into `found` and returns how many."""
    part = _closure((into, out), start, -1, remaining, False)
    put(part, start)
    count = listed(part, found)
    if count == 1:
        return 1
    for k in range(count):
        v = found[k]
        if (
            _merges(kinds, into, out, True, v, ends, remaining, typed)
            or _merges(kinds, out, into, False, v, ends, remaining, typed)
            or _adds_nothing(kinds, into, out, v, ends, typed)
        ):
            found[0] = v
            return 1
    kept = 0
    for k in range(count):
        v = found[k]
        twin = False
        for earlier in range(kept):
            u = found[earlier]
            twin = True
            for w in range(into.shape[1]):
                twin = twin and into[u, w] == into[v, w] and out[u, w] == out[v, w]
            if twin and typed:
                for x in range(kinds.shape[0]):
                    twin = twin and kinds[u, x] == kinds[v, x] and kinds[x, u] == kinds[x, v]
            if twin:
                break
        if not twin:
            found[kept] = v
            kept += 1
    return kept
