"""Compiled A* over the sets of eliminated vertices of one part of a graph.

It does what subset_search.py does in plain Python, with a sharper bound on what is still to pay:
tables over blocks, each of which holds the least cost of the rest of its block for every subset
(additive pattern databases; Korf and Felner, 2002). Importing this module imports numba.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit  # type: ignore[import-untyped]

from gradgen.search.kernels import (
    CONSTANT,
    MASK,
    UNIT,
    VARIABLE,
    cost,
    drop,
    eliminate,
    has,
    listed,
    put,
    side,
)

LIMIT, SOLVED, EXHAUSTED, FULL = range(4)
"""Why an exploration stopped: no expansions left, a cheapest order found, no order is cheaper than
the limit, or the arrays have to grow."""

NODES, ENTRIES, FREE, TOTAL, GOAL = range(5)
"""Places in the counters: nodes, entries, the first free entry, the total that is being expanded,
the node that eliminates all."""

_ZERO = np.uint64(0)


@njit(cache=True)
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


@njit(cache=True)
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
            if kind != UNIT and not (other == kind and (kind == MASK or kind == CONSTANT)):
                return False
    if not alone and not variable:
        reached = _closure((far,), v, -1, remaining, True)
        others = _closure((far,), p, v, remaining, True)
        for w in range(words):
            if reached[w] & others[w] & remaining[w] != _ZERO:
                return False
    if kind == UNIT or kind == MASK or (not typed and count == 1):
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


@njit(cache=True)
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


@njit(cache=True)
def _branches(
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


@njit(cache=True, inline="always")
def _slot(keys: Any, slots: Any, key: Any) -> Any:
    """Where in the hash table a key is, or would be."""
    mask = slots.shape[0] - 1
    mixed = np.uint64(0)
    for w in range(key.shape[0]):
        mixed = (mixed ^ key[w]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    position = np.int64(mixed & np.uint64(mask))
    while slots[position] >= 0:
        node = slots[position]
        same = True
        for w in range(key.shape[0]):
            if keys[node, w] != key[w]:
                same = False
        if same:
            return position
        position = (position + 1) & mask
    return position


@njit(cache=True)
def rehash(keys: Any, slots: Any, count: Any) -> None:
    """Fill an empty hash table with the first `count` nodes."""
    for node in range(count):
        slots[_slot(keys, slots, keys[node])] = node


@njit(cache=True)
def _push(
    heads: Any, entry_node: Any, entry_paid: Any, entry_next: Any, counters: Any,
    total: Any, node: Any, paid: Any,
) -> None:
    entry = counters[FREE]
    if entry >= 0:
        counters[FREE] = entry_next[entry]
    else:
        entry = counters[ENTRIES]
        counters[ENTRIES] += 1
    entry_node[entry], entry_paid[entry], entry_next[entry] = node, paid, heads[total]
    heads[total] = entry


@njit(cache=True)
def explore(
    kinds: Any, into: Any, out: Any, ends: Any,
    vertices: Any, bits: Any, position_of: Any, places: Any, tables: Any, typed: Any,
    keys: Any, paid: Any, last: Any, closed: Any, slots: Any,
    entry_node: Any, entry_paid: Any, entry_next: Any, heads: Any, counters: Any, limit: Any,
) -> Any:
    """Expand up to `limit` nodes, cheapest totals first; returns why it stopped.

    `vertices` are those of the part and `bits` the bit of each in a key; `position_of` gives a
    vertex's place in both. `places` has a row for each position: word, shift, mask and offset of
    its block's table. Totals of `heads`' length and more are left out. The other arrays hold the
    nodes (a key, what is paid so far, the vertex eliminated last, whether it is expanded), a hash
    table of them, and a list of entries for each total.
    """
    n, words = into.shape
    size = vertices.shape[0]
    key = np.empty(keys.shape[1], np.uint64)
    matrix = np.empty_like(kinds)
    before, after = np.empty_like(into), np.empty_like(out)
    remaining = np.empty(words, np.uint64)
    found = np.empty(n, np.int64)
    for _ in range(limit):
        if counters[NODES] + size > keys.shape[0] or counters[ENTRIES] + size > entry_node.shape[0]:
            return FULL
        node = -1
        while node < 0:
            while counters[TOTAL] < heads.shape[0] and heads[counters[TOTAL]] < 0:
                counters[TOTAL] += 1
            total = counters[TOTAL]
            if total >= heads.shape[0]:
                return EXHAUSTED
            entry = heads[total]
            heads[total] = entry_next[entry]
            node = entry_node[entry]
            if closed[node] or entry_paid[entry] != paid[node]:
                node = -1
            entry_next[entry] = counters[FREE]
            counters[FREE] = entry
        closed[node] = 1
        key[:] = keys[node]
        matrix[:], before[:], after[:] = kinds, into, out
        remaining[:] = _ZERO
        start = -1
        for position in range(size):
            if has(key, bits[position]):
                eliminate(matrix, before, after, vertices[position])
            else:
                put(remaining, vertices[position])
                if start < 0:
                    start = vertices[position]
        if start < 0:
            counters[GOAL] = node
            return SOLVED
        count = _branches(matrix, before, after, ends, remaining, start, typed, found)
        for k in range(count):
            v = found[k]
            position = position_of[v]
            word, shift, mask, offset = places[position]
            step = cost(matrix, before, after, v)
            state = (key[word] >> np.uint64(shift)) & np.uint64(mask)
            old = tables[offset + np.int64(state)]
            put(key, bits[position])
            state = (key[word] >> np.uint64(shift)) & np.uint64(mask)
            ahead = total + step + tables[offset + np.int64(state)] - old
            if ahead < heads.shape[0]:
                slot = _slot(keys, slots, key)
                child = slots[slot]
                if child < 0:
                    child = counters[NODES]
                    counters[NODES] += 1
                    slots[slot] = child
                    keys[child] = key
                    paid[child] = paid[node] + step + 1
                if paid[node] + step < paid[child]:
                    paid[child] = paid[node] + step
                    last[child] = position
                    _push(
                        heads, entry_node, entry_paid, entry_next, counters,
                        ahead, child, paid[child],
                    )
            drop(key, bits[position])
    return LIMIT
