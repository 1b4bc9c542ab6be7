"""The driver of the compiled A*: lays out its arrays, lets them grow, and counts its work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradgen.search.exact import frontier
from gradgen.search.exact.allowance import Allowance
from gradgen.search.exact.frontier import Problem, Store
from gradgen.search.exact.kernels import block_table, neighbours
from gradgen.search.exact.part_arrays import Arrays

_CHUNK = 2000
"""Expansions between two looks at what is allowed."""
_FIRST_NODES = 1 << 12


@dataclass(frozen=True)
class PartOrder:
    """The outcome of a search in a part of a graph."""

    order: tuple[int, ...] | None
    """A cheapest order; None if the search stopped early, or no order is cheaper than the limit."""
    bound: int
    """No order costs less, up to the limit."""
    finished: bool
    """Whether the bound is the least cost, or the limit if nothing is cheaper."""


def search_below(
    arrays: Arrays,
    blocks: Sequence[Sequence[int]],
    limit: int,
    *,
    expansions: int,
    nodes: int,
    allowance: Allowance,
) -> PartOrder:
    """The cheapest order of a part among those that cost less than a limit.

    `blocks` is a partition of the part, by the numbers of `arrays`. The search gives up after so
    many `expansions`, with more than about so many `nodes` in memory, or when nothing is left of
    the `allowance`.
    """
    problem = _problem(arrays, blocks)
    bound = sum(int(problem.tables[offset]) for offset in {*problem.places[:, 3].tolist()})
    if bound >= limit:
        return PartOrder(None, limit, True)
    store = _store(int(problem.bits.max()) // 64 + 1, limit, bound)
    while expansions > 0 and not allowance.spent():
        chunk = min(_CHUNK, expansions)
        allowance.spend(chunk * len(arrays.part))
        outcome = frontier.explore(problem, store, chunk)
        bound = int(store.counters[frontier.TOTAL])
        if outcome == frontier.SOLVED:
            return PartOrder(_order(problem, store), bound, True)
        if outcome == frontier.EXHAUSTED:
            return PartOrder(None, limit, True)
        if outcome == frontier.FULL:
            if len(store.keys) >= nodes:
                break
            store = _larger(store)
        expansions -= chunk
    return PartOrder(None, bound, False)


def _problem(arrays: Arrays, blocks: Sequence[Sequence[int]]) -> Problem:
    """Lay out the keys: a block's bits lie side by side in one word."""
    vertices: list[int] = []
    bits: list[int] = []
    places: list[tuple[int, int, int, int]] = []
    tables = []
    bit = offset = 0
    for block in blocks:
        if bit // 64 != (bit + len(block) - 1) // 64:
            bit = (bit // 64 + 1) * 64
        vertices += block
        bits += range(bit, bit + len(block))
        places += [(bit // 64, bit % 64, (1 << len(block)) - 1, offset)] * len(block)
        table = block_table(arrays.kinds, arrays.ends, np.array(block, np.int32), arrays.typed)
        tables.append(table)
        bit += len(block)
        offset += len(table)
    position_of = np.full(len(arrays.kinds), -1, np.int32)
    position_of[vertices] = np.arange(len(vertices))
    into, out = neighbours(arrays.kinds)
    return Problem(
        arrays.kinds,
        into,
        out,
        arrays.ends,
        np.array(vertices, np.int32),
        np.array(bits, np.int32),
        position_of,
        np.array(places, np.int64),
        np.concatenate(tables),
        arrays.typed,
    )


def _store(words: int, limit: int, bound: int) -> Store:
    """A store that holds the empty set, entered under its bound."""
    nodes = _FIRST_NODES
    store = Store(
        keys=np.zeros((nodes, words), np.uint64),
        paid=np.zeros(nodes, np.int32),
        last=np.zeros(nodes, np.int16),
        closed=np.zeros(nodes, np.uint8),
        slots=np.full(2 * nodes, -1, np.int32),
        entry_node=np.zeros(2 * nodes, np.int32),
        entry_paid=np.zeros(2 * nodes, np.int32),
        entry_next=np.full(2 * nodes, -1, np.int32),
        heads=np.full(limit, -1, np.int32),
        counters=np.array([1, 1, -1, bound, -1], np.int64),
    )
    store.heads[bound] = 0
    frontier.rehash(store.keys, store.slots, 1)
    return store


def _larger(store: Store) -> Store:
    """The same with twice as much room."""
    names = ("keys", "paid", "last", "closed", "entry_node", "entry_paid", "entry_next")
    larger = store._replace(
        **{name: _doubled(getattr(store, name)) for name in names},
        slots=np.full(2 * len(store.slots), -1, np.int32),
    )
    frontier.rehash(larger.keys, larger.slots, int(store.counters[frontier.NODES]))
    return larger


def _doubled(array: NDArray[Any]) -> NDArray[Any]:
    return np.concatenate((array, np.zeros_like(array)))


def _order(problem: Problem, store: Store) -> tuple[int, ...]:
    """The order that the search found, back from its last vertex."""
    key = store.keys[store.counters[frontier.GOAL]].copy()
    steps = []
    while key.any():
        position = int(store.last[frontier.find(store.keys, store.slots, key)])
        steps.append(int(problem.vertices[position]))
        bit = int(problem.bits[position])
        key[bit // 64] ^= np.uint64(1 << bit % 64)
    return tuple(steps[::-1])
