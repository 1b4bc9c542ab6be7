"""Moves on elimination orders, compiled: sweeps of simulated annealing.

The graph that is left after a set of vertices is eliminated depends on the set alone, so an order
that differs from another only between two places differs in the cost of that stretch alone.
A sweep walks along the order, eliminating as it goes; at each place it tries orders that
differ from there on, eliminates the stretch in the new order, and takes that back.

Everything random comes from integers (`draw`), and no function of the C library decides anything,
so that the same seed gives the same orders on every machine.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, types

from gradgen.search.annealing.accumulation import (
    PAIRS,
    PEAK,
    PREDECESSORS,
    ROWS,
    SUCCESSORS,
    degree,
    eliminate,
    restore,
    weigh,
)
from gradgen.search.bitsets import (
    NUMBER,
    NUMBERS,
    SET,
    SETS,
    Integers,
    Words,
    drop,
    lowest,
    popcount,
)
from gradgen.search.random_kernels import draw

UNIT = 64
"""A unit of the objective as energy; `edges + adds` count one each."""

_LEVELS = np.array([round(-UNIT * math.log((k + 0.5) / 1024)) for k in range(1024)], np.int64)
"""The energy that is accepted at temperature 1 and each quantile of a uniform random number.

None is within 1e-4 of where it would be rounded the other way: they are the same everywhere."""

_ONE = np.uint64(1)


@njit((ROWS, SET, NUMBER, SET), nogil=True, cache=True)
def _neighbour(rows: Words, left: Words, vertex: int, state: Words) -> int:
    """A random neighbour of a vertex that is still to be eliminated, or -1."""
    count = 0
    for k in range(rows.shape[2]):
        word = (rows[vertex, SUCCESSORS, k] | rows[vertex, PREDECESSORS, k]) & left[k]
        count += popcount(word)
    if count == 0:
        return -1
    chosen = draw(state, count)
    for k in range(rows.shape[2]):
        word = (rows[vertex, SUCCESSORS, k] | rows[vertex, PREDECESSORS, k]) & left[k]
        count = popcount(word)
        if chosen < count:
            for _ in range(chosen):
                word &= word - _ONE
            return int((k << 6) + lowest(word))
        chosen -= count
    return -1


@njit((NUMBERS, NUMBER, NUMBER, SET, NUMBERS), nogil=True, cache=True)
def _propose(order: Integers, first: int, last: int, state: Words, trial: Integers) -> None:
    """Another order of the stretch from `first` to `last`, both included, into `trial`.

    The first vertex after the last, the last before the first, the two swapped, or two blocks
    swapped.
    """
    length = last - first + 1
    kind = draw(state, 8)
    cut = 1 if kind < 3 else length - 1
    if kind == 6:
        cut = 0
    elif kind == 7:
        cut = 1 + draw(state, length - 1)
    for i in range(length):
        trial[i] = order[first + (i + cut if i + cut < length else i + cut - length)]
    if kind == 6:
        trial[0], trial[length - 1] = order[last], order[first]


@njit((ROWS, NUMBER, NUMBER, SET, SETS, NUMBER), nogil=True, cache=True)
def advance(rows: Words, objective: int, vertex: int, left: Words, later: Words, alive: int) -> int:
    """Eliminate a vertex for good, note its later neighbours, and say what is alive then."""
    nothing = np.empty((0, 4, rows.shape[2]), np.uint64)
    unchanged = np.empty(0, np.int64)
    drop(left, vertex)
    for k in range(rows.shape[2]):
        neighbours = rows[vertex, SUCCESSORS, k] | rows[vertex, PREDECESSORS, k]
        later[vertex, k] = neighbours & left[k]
    if objective == PEAK:
        alive = weigh(rows, objective, vertex, alive)[2]
    eliminate(rows, vertex, nothing, unchanged, 0)
    return alive


@njit(
    (
        ROWS,
        NUMBER,
        NUMBERS,
        PAIRS,
        SET,
        types.float64,
        NUMBER,
        NUMBER,
        SET,
        ROWS,
        NUMBERS,
        SETS,
        NUMBERS,
        NUMBERS,
        NUMBER,
    ),
    nogil=True,
    cache=True,
)
def sweep(
    rows: Words,
    objective: int,
    order: Integers,
    costs: Integers,
    left: Words,
    temperature: float,
    tries: int,
    reach: int,
    state: Words,
    saved: Words,
    changed: Integers,
    later: Words,
    best: Integers,
    best_cost: Integers,
    floor: int,
) -> tuple[int, int]:
    """One sweep of annealing along an order; returns how many orders it looked at, and its work.

    `rows` is the graph before any elimination and ends with all eliminated. `order` and `costs`,
    shape (steps, 2), change in place. `left` is the set of vertices to eliminate, and ends empty.
    `saved` and `changed` are the stack of `eliminate`; a move for which it is too small is refused.
    `tries` orders are tried at each place, none of which differs over more than `reach` places.
    `later[v]` gets the neighbours that v had when it was eliminated and that come later. The best
    order met goes to `best`, its cost and tie-break to `best_cost`. `floor` is what PEAK is at
    least. The work counts rows that were read or written: it is about
    proportional to the time, and the same on every machine.
    """
    count = len(order)
    place = np.empty(rows.shape[0], np.int64)
    for p in range(count):
        place[order[p]] = p
    after = np.zeros(count + 1, np.int64)
    total = ties = before = alive = 0
    for p in range(count - 1, -1, -1):
        after[p] = max(after[p + 1], costs[p, 0])
        total += costs[p, 0]
        ties += costs[p, 1]
    if objective == PEAK:
        before = floor
        total = max(after[0], floor)
    trial = np.empty(reach + 1, np.int64)
    found = np.empty((reach + 1, 2), np.int64)
    looked = work = 0
    for first in range(count):
        for _ in range(tries):
            if first == count - 1:
                break
            last = -1
            if draw(state, 4) < 3:
                neighbour = _neighbour(rows, left, order[first], state)
                if neighbour >= 0:
                    last = place[neighbour]
            if last < 0 or last - first > reach:
                last = first + 1 + draw(state, min(reach, count - 1 - first))
            _propose(order, first, last, state, trial)
            length = last - first + 1
            old = old_ties = 0
            for i in range(first, last + 1):
                old += costs[i, 0]
                old_ties += costs[i, 1]
            if objective == PEAK:
                old = total
            level = np.int64(temperature * _LEVELS[draw(state, 1024)])
            new = max(before, after[last + 1]) if objective == PEAK else 0
            new_ties = 0
            now = alive
            top = 0
            accepted = True
            for i in range(length):
                vertex = trial[i]
                cost, tie, now = weigh(rows, objective, vertex, now)
                found[i, 0], found[i, 1] = cost, tie
                new = max(new, cost) if objective == PEAK else new + cost
                new_ties += tie
                if (new - old) * UNIT + new_ties - old_ties > level:
                    accepted = False
                    break
                if i < length - 1:
                    if top + degree(rows, vertex) > len(changed):
                        accepted = False
                        break
                    top = eliminate(rows, vertex, saved, changed, top)
            restore(rows, saved, changed, top, 0)
            looked += 1
            work += top + i + 1
            if not accepted:
                continue
            for i in range(length):
                order[first + i] = trial[i]
                place[trial[i]] = first + i
                costs[first + i, 0], costs[first + i, 1] = found[i, 0], found[i, 1]
            for i in range(last, first - 1, -1):
                after[i] = max(after[i + 1], costs[i, 0])
            total += new - old
            ties += new_ties - old_ties
            if total < best_cost[0] or (total == best_cost[0] and ties < best_cost[1]):
                best_cost[0], best_cost[1] = total, ties
                for i in range(count):
                    best[i] = order[i]
        alive = advance(rows, objective, order[first], left, later, alive)
        before = max(before, costs[first, 0])
    return looked, work


@njit((NUMBERS, SETS, SET), nogil=True, cache=True)
def rearrange(order: Integers, later: Words, state: Words) -> None:
    """Put an order into a random other one of the same cost, with related vertices close.

    Only vertices that are neighbours when the first of them is eliminated need to keep their
    order; `later` says which those are. (Of two others that come next to each other, the second
    may find a fill-in of the first; whichever comes second, it is one addition.) The vertices are
    visited from the last ones, depth first, each after all that must come before it.
    """
    count = len(order)
    size = later.shape[0]
    shuffled = order.copy()
    for p in range(count - 1, 0, -1):
        q = draw(state, p + 1)
        shuffled[p], shuffled[q] = shuffled[q], shuffled[p]
    start = np.zeros(size + 1, np.int64)
    for vertex in order:
        for k in range(later.shape[1]):
            word = later[vertex, k]
            while word != 0:
                start[(k << 6) + lowest(word) + 1] += 1
                word &= word - _ONE
    for v in range(size):
        start[v + 1] += start[v]
    fill = start[:size].copy()
    earlier = np.empty(start[size], np.int64)
    for vertex in shuffled:
        for k in range(later.shape[1]):
            word = later[vertex, k]
            while word != 0:
                owner = (k << 6) + lowest(word)
                word &= word - _ONE
                earlier[fill[owner]] = vertex
                fill[owner] += 1
    seen = np.zeros(size, np.bool_)
    stack = np.empty(count, np.int64)
    fill = start[:size].copy()
    placed = 0
    for root in shuffled:
        last = True
        for k in range(later.shape[1]):
            last = last and later[root, k] == 0
        if not last:
            continue
        stack[0] = root
        height = 1
        seen[root] = True
        while height > 0:
            vertex = stack[height - 1]
            if fill[vertex] < start[vertex + 1]:
                child = earlier[fill[vertex]]
                fill[vertex] += 1
                if not seen[child]:
                    seen[child] = True
                    stack[height] = child
                    height += 1
            else:
                height -= 1
                order[placed] = vertex
                placed += 1
