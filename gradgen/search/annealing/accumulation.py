"""Vertex elimination on bit sets, compiled: what a step costs, doing it, and taking it back.

A graph under elimination is one array `rows` of 64-bit words, shape (vertices, 5, words). For a
vertex v, `rows[v, SUCCESSORS]` is the set of its successors. LIVE and RUNTIME are subsets of it
that say of which kind the partial on each edge out of v is:

| kind | LIVE | RUNTIME |
| --- | --- | --- |
| unit | 0 | 0 |
| constant | 1 | 0 |
| mask | 0 | 1 |
| variable | 1 | 1 |

So a product's kind is the bitwise or of its factors' kinds, a sum is always LIVE, and RUNTIME if a
summand is; this is `gradgen.elimination.kinds` in two bits. COMPUTED is the subset whose partials
are no longer elemental. `rows[v, PREDECESSORS]` is the set of v's predecessors. An eliminated
vertex keeps its own rows and is in nobody else's.

Importing this module imports numba.
"""

from __future__ import annotations

import numpy as np
from numba import njit, types

from gradgen.search.bitsets import NUMBER, NUMBERS, Integers, Words, drop, has, lowest, popcount
from gradgen.search.compact import CODED, CompactGraph

SUCCESSORS, LIVE, RUNTIME, COMPUTED, PREDECESSORS = range(5)

EDGES, MULS, ADDS, PEAK = range(4)
"""The objectives by number, in the order of `gradgen.elimination.cost.PLAN_OBJECTIVES`."""

_ONE = np.uint64(1)

PAIRS = types.int64[:, ::1]
ROWS = types.uint64[:, :, ::1]


def pack(graph: CompactGraph) -> Words:
    """The rows of a graph before any elimination."""
    words = (graph.size + 63) // 64
    live = [CODED.index(kind) + 1 for kind in ("constant", "variable")]
    runtime = [CODED.index(kind) + 1 for kind in ("mask", "variable")]
    out = graph.kinds.T
    bits = np.zeros((graph.size, 5, words * 64), np.uint8)
    bits[:, SUCCESSORS, : graph.size] = out > 0
    bits[:, LIVE, : graph.size] = np.isin(out, live)
    bits[:, RUNTIME, : graph.size] = np.isin(out, runtime)
    bits[:, PREDECESSORS, : graph.size] = graph.kinds > 0
    packed = np.packbits(bits, axis=-1, bitorder="little")
    return packed.view("<u8").astype(np.uint64)


@njit((ROWS, NUMBER), nogil=True, cache=True)
def degree(rows: Words, vertex: int) -> int:
    """The number of neighbours."""
    total = 0
    for k in range(rows.shape[2]):
        total += popcount(rows[vertex, SUCCESSORS, k]) + popcount(rows[vertex, PREDECESSORS, k])
    return total


@njit((ROWS,), nogil=True, cache=True)
def entries(rows: Words) -> int:
    """How many edges from independents have partials that exist at run time only.

    When all is eliminated, these are the Jacobian's entries.
    """
    total = 0
    for vertex in range(rows.shape[0]):
        independent = True
        count = 0
        for k in range(rows.shape[2]):
            independent = independent and rows[vertex, PREDECESSORS, k] == 0
            count += popcount(rows[vertex, RUNTIME, k])
        if independent:
            total += count
    return total


@njit((ROWS, NUMBER, NUMBER), nogil=True, cache=True)
def _peak(rows: Words, vertex: int, alive: int) -> tuple[int, int]:
    """The most partials alive while a vertex is eliminated, and how many are afterwards.

    Counted as `gradgen.ir.plan.Plan.peak` does. Products are taken source by source and target by
    target, as `accumulate` takes them.
    """
    peak = alive
    last_source = last_target = -1
    for k in range(rows.shape[2]):
        if rows[vertex, PREDECESSORS, k] != 0:
            last_source = k
        if rows[vertex, SUCCESSORS, k] != 0:
            last_target = k
    first_source = True
    for k in range(last_source + 1):
        sources = rows[vertex, PREDECESSORS, k]
        while sources != 0:
            source = (k << 6) + lowest(sources)
            sources &= sources - _ONE
            final_source = k == last_source and sources == 0
            stored_into = has(rows[source, RUNTIME], vertex)
            if stored_into and not has(rows[source, COMPUTED], vertex):
                alive += 1
            for m in range(last_target + 1):
                targets = rows[vertex, SUCCESSORS, m]
                while targets != 0:
                    target = (m << 6) + lowest(targets)
                    targets &= targets - _ONE
                    stored_out = has(rows[vertex, RUNTIME], target)
                    if first_source and stored_out and not has(rows[vertex, COMPUTED], target):
                        alive += 1
                    peak = max(peak, alive)
                    product = stored_into or stored_out
                    alive += product
                    if m == last_target and targets == 0:
                        alive -= stored_into
                    if final_source:
                        alive -= stored_out
                    peak = max(peak, alive)
                    if has(rows[source, RUNTIME], target):
                        if not has(rows[source, COMPUTED], target):
                            alive += 1
                            peak = max(peak, alive)
                        alive -= product
            first_source = False
    return peak, alive


@njit((ROWS, NUMBER, NUMBER, NUMBER), nogil=True, cache=True)
def weigh(rows: Words, objective: int, vertex: int, alive: int) -> tuple[int, int, int]:
    """What eliminating a vertex now costs, and adds to the tie-break, `edges + adds`.

    `alive` is the number of partials alive now; for the objective PEAK the cost is the largest
    number that is reached meanwhile, and the last result the number afterwards.
    """
    into = live_into = constant_into = out = live_out = constant_out = adds = 0
    for k in range(rows.shape[2]):
        live = rows[vertex, LIVE, k]
        out += popcount(rows[vertex, SUCCESSORS, k])
        live_out += popcount(live)
        constant_out += popcount(live & ~rows[vertex, RUNTIME, k])
    for k in range(rows.shape[2]):
        word = rows[vertex, PREDECESSORS, k]
        while word != 0:
            source = (k << 6) + lowest(word)
            word &= word - _ONE
            into += 1
            if has(rows[source, LIVE], vertex):
                live_into += 1
                constant_into += not has(rows[source, RUNTIME], vertex)
            for m in range(rows.shape[2]):
                adds += popcount(rows[source, SUCCESSORS, m] & rows[vertex, SUCCESSORS, m])
    edges = into * out
    if objective == PEAK:
        cost, alive = _peak(rows, vertex, alive)
    elif objective == MULS:
        cost = live_into * live_out - constant_into * constant_out
    else:
        cost = edges if objective == EDGES else adds
    return cost, edges + adds, alive


@njit((ROWS, NUMBER, NUMBER), nogil=True, cache=True)
def _join(rows: Words, source: int, vertex: int) -> None:
    """Join a predecessor of a vertex to the vertex's successors, and part the two."""
    everything = ~np.uint64(0)
    live = everything if has(rows[source, LIVE], vertex) else np.uint64(0)
    runtime = everything if has(rows[source, RUNTIME], vertex) else np.uint64(0)
    for m in range(rows.shape[2]):
        new = rows[vertex, SUCCESSORS, m]
        sums = rows[source, SUCCESSORS, m] & new
        rows[source, SUCCESSORS, m] |= new
        rows[source, LIVE, m] |= rows[vertex, LIVE, m] | (live & new) | sums
        rows[source, RUNTIME, m] |= rows[vertex, RUNTIME, m] | (runtime & new)
        rows[source, COMPUTED, m] |= new
    for plane in range(PREDECESSORS):
        drop(rows[source, plane], vertex)


@njit((ROWS, NUMBER, ROWS, NUMBERS, NUMBER), nogil=True, cache=True)
def eliminate(rows: Words, vertex: int, saved: Words, changed: Integers, top: int) -> int:
    """Eliminate a vertex; the neighbours' rows are pushed on the stack `saved`, `changed`.

    `saved` has the shape (room, 4, words). There must be room for `degree` rows above `top`; the
    new top is returned. With no room at all (shape (0, 4, words)) nothing is kept.
    """
    words = rows.shape[2]
    keep = saved.shape[0] > 0
    for k in range(words):
        word = rows[vertex, PREDECESSORS, k]
        while word != 0:
            source = (k << 6) + lowest(word)
            word &= word - _ONE
            if keep:
                for plane in range(PREDECESSORS):
                    for m in range(words):
                        saved[top, plane, m] = rows[source, plane, m]
                changed[top] = source
                top += 1
            _join(rows, source, vertex)
    for k in range(words):
        word = rows[vertex, SUCCESSORS, k]
        while word != 0:
            target = (k << 6) + lowest(word)
            word &= word - _ONE
            if keep:
                for m in range(words):
                    saved[top, 0, m] = rows[target, PREDECESSORS, m]
                changed[top] = ~target
                top += 1
            for m in range(words):
                rows[target, PREDECESSORS, m] |= rows[vertex, PREDECESSORS, m]
            drop(rows[target, PREDECESSORS], vertex)
    return top


@njit((ROWS, ROWS, NUMBERS, NUMBER, NUMBER), nogil=True, cache=True)
def restore(rows: Words, saved: Words, changed: Integers, top: int, bottom: int) -> None:
    """Take back the eliminations that pushed the rows from `bottom` to `top`, the latest first."""
    while top > bottom:
        top -= 1
        vertex = changed[top]
        if vertex >= 0:
            for plane in range(PREDECESSORS):
                for k in range(rows.shape[2]):
                    rows[vertex, plane, k] = saved[top, plane, k]
        else:
            for k in range(rows.shape[2]):
                rows[~vertex, PREDECESSORS, k] = saved[top, 0, k]


@njit((ROWS, NUMBER, NUMBERS, PAIRS), nogil=True, cache=True)
def evaluate(rows: Words, objective: int, order: Integers, costs: Integers) -> tuple[int, int]:
    """The cost of an order and its tie-break; `costs`, shape (steps, 2), gets those of each step.

    Leaves `rows` with all of it eliminated.
    """
    nothing = np.empty((0, 4, rows.shape[2]), np.uint64)
    unchanged = np.empty(0, np.int64)
    alive = total = ties = 0
    for p in range(len(order)):
        cost, tie, alive = weigh(rows, objective, order[p], alive)
        costs[p, 0], costs[p, 1] = cost, tie
        total = max(total, cost) if objective == PEAK else total + cost
        ties += tie
        eliminate(rows, order[p], nothing, unchanged, 0)
    if objective == PEAK:
        total = max(total, entries(rows))
    return total, ties
