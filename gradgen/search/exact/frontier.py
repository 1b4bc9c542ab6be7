"""Compiled A* over the sets of eliminated vertices of one part of a graph.

It does what subset_search.py does in plain Python, with a sharper bound on what is still to pay:
tables over blocks, each of which holds the least cost of the rest of its block for every subset
(additive pattern databases; Korf and Felner, 2002). Importing this module imports numba.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gradgen.search.bitsets import drop, has, put
from gradgen.search.exact.compiled_reductions import branches
from gradgen.search.exact.kernels import cost, eliminate

LIMIT, SOLVED, EXHAUSTED, FULL = range(4)
"""Why an exploration stopped: no expansions left, a cheapest order found, no order is cheaper than
the limit, or the arrays have to grow."""

NODES, ENTRIES, FREE, TOTAL, GOAL = range(5)
"""Places in the counters: nodes, entries, the first free entry, the total that is being expanded,
the node that eliminates all."""

_ZERO = np.uint64(0)


class Problem(NamedTuple):
    """A part of n vertices in a graph of v, and the tables of its blocks."""

    kinds: NDArray[np.int8]
    """(v, v): as in CompactGraph."""
    into: NDArray[np.uint64]
    """(v, words): predecessors."""
    out: NDArray[np.uint64]
    """(v, words): successors."""
    ends: NDArray[np.uint64]
    """(2, words): independents and dependents."""
    vertices: NDArray[np.int32]
    """(n,): those of the part."""
    bits: NDArray[np.int32]
    """(n,): the bit of each in a key."""
    position_of: NDArray[np.int32]
    """(v,): where a vertex is in the two above."""
    places: NDArray[np.int64]
    """(n, 4): word, shift and mask of the block's bits in a key, and where its table begins."""
    tables: NDArray[np.int32]
    """What is left to pay for each subset of each block."""
    typed: bool
    """Whether there are partials that are not variable."""


class Store(NamedTuple):
    """The sets that were seen, a hash table of them, and lists of those to expand."""

    keys: NDArray[np.uint64]
    """(nodes, words): which vertices are eliminated."""
    paid: NDArray[np.int32]
    """(nodes,): the least cost of it so far."""
    last: NDArray[np.int16]
    """(nodes,): the position of the vertex that is eliminated last."""
    closed: NDArray[np.uint8]
    """(nodes,): whether it is expanded."""
    slots: NDArray[np.int32]
    """(a power of two,): nodes by the hash of their keys, -1 where there is none."""
    entry_node: NDArray[np.int32]
    """(entries,): a node to expand."""
    entry_paid: NDArray[np.int32]
    """(entries,): what was paid for it when it was entered; more than now if it is outdated."""
    entry_next: NDArray[np.int32]
    """(entries,): the next entry with the same total, or -1."""
    heads: NDArray[np.int32]
    """(limit,): the first entry of each total; totals of the limit and more are left out."""
    counters: NDArray[np.int64]
    """(5,): see NODES and the others."""


@njit(cache=True)
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
def find(keys: Any, slots: Any, key: Any) -> Any:
    """The node of a key that is in the store."""
    return slots[_slot(keys, slots, key)]


@njit(cache=True)
def _push(store: Any, total: Any, node: Any, paid: Any) -> None:
    """Enter a node under a total."""
    entry = store.counters[FREE]
    if entry >= 0:
        store.counters[FREE] = store.entry_next[entry]
    else:
        entry = store.counters[ENTRIES]
        store.counters[ENTRIES] += 1
    store.entry_node[entry] = node
    store.entry_paid[entry] = paid
    store.entry_next[entry] = store.heads[total]
    store.heads[total] = entry


@njit(cache=True)
def _pop(store: Any) -> Any:
    """Take a node with the least total that is not expanded yet; -1 if there is none."""
    while True:
        total = store.counters[TOTAL]
        while total < store.heads.shape[0] and store.heads[total] < 0:
            total += 1
        store.counters[TOTAL] = total
        if total >= store.heads.shape[0]:
            return -1
        entry = store.heads[total]
        node = store.entry_node[entry]
        store.heads[total] = store.entry_next[entry]
        store.entry_next[entry] = store.counters[FREE]
        store.counters[FREE] = entry
        if not store.closed[node] and store.entry_paid[entry] == store.paid[node]:
            store.closed[node] = 1
            return node


@njit(cache=True)
def _to_pay(problem: Any, key: Any, position: Any) -> Any:
    """What is left to pay for the block of a position."""
    word, shift, mask, offset = problem.places[position]
    state = (key[word] >> np.uint64(shift)) & np.uint64(mask)
    return problem.tables[offset + np.int64(state)]


@njit(cache=True)
def _enter(store: Any, key: Any, position: Any, paid: Any, total: Any) -> None:
    """Enter the node of a key, unless it was reached at the same cost or less."""
    slot = _slot(store.keys, store.slots, key)
    node = store.slots[slot]
    if node >= 0 and store.paid[node] <= paid:
        return
    if node < 0:
        node = store.counters[NODES]
        store.counters[NODES] += 1
        store.slots[slot] = node
        store.keys[node] = key
    store.paid[node] = paid
    store.last[node] = position
    _push(store, total, node, paid)


@njit(cache=True)
def explore(problem: Any, store: Any, limit: Any) -> Any:
    """Expand up to `limit` nodes, cheapest totals first; returns why it stopped."""
    n, words = problem.into.shape
    size = problem.vertices.shape[0]
    key = np.empty(store.keys.shape[1], np.uint64)
    kinds = np.empty_like(problem.kinds)
    into = np.empty_like(problem.into)
    out = np.empty_like(problem.out)
    remaining = np.empty(words, np.uint64)
    found = np.empty(n, np.int64)
    for _ in range(limit):
        if store.counters[NODES] + size > store.keys.shape[0]:
            return FULL
        if store.counters[ENTRIES] + size > store.entry_node.shape[0]:
            return FULL
        node = _pop(store)
        if node < 0:
            return EXHAUSTED
        total = store.counters[TOTAL]
        key[:] = store.keys[node]
        kinds[:], into[:], out[:] = problem.kinds, problem.into, problem.out
        remaining[:] = _ZERO
        start = -1
        for position in range(size):
            vertex = problem.vertices[position]
            if has(key, problem.bits[position]):
                eliminate(kinds, into, out, vertex)
            else:
                put(remaining, vertex)
                if start < 0:
                    start = vertex
        if start < 0:
            store.counters[GOAL] = node
            return SOLVED
        for k in range(
            branches(kinds, into, out, problem.ends, remaining, start, problem.typed, found)
        ):
            position = problem.position_of[found[k]]
            step = cost(kinds, into, out, found[k])
            ahead = total + step - _to_pay(problem, key, position)
            put(key, problem.bits[position])
            ahead += _to_pay(problem, key, position)
            if ahead < store.heads.shape[0]:
                _enter(store, key, position, store.paid[node] + step, ahead)
            drop(key, problem.bits[position])
    return LIMIT
