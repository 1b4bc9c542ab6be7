"""Compiled face elimination. Imports numba: import it late.

A line graph is six arrays. Its vertices are numbered as in `gradgen.elimination.face`, so that both
take the same steps:

- `ends` (numbers, 3): source, target and kind; kind 0 is a number that is gone or not taken yet;
- `before`, `after` (numbers, words): the sets of predecessors and successors, 64 numbers a word;
- `head` (vertices, vertices): the first number between a source and a target, or -1;
- `chain` (numbers,): the next number between the same two, in ascending order, or -1;
- `log` (eliminations + 1, 2): row 0 holds how many faces were eliminated, the rows after it which.
"""

# mypy: disable-error-code="untyped-decorator, import-untyped, no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

from gradgen.search.random_kernels import draw
from gradgen.search.steps.items import ALL, BACK, FACE, FIRST, FRONT, LAST, VERTEX

TOO_LONG = 1 << 60
"""The cost of a sequence for which the arrays are too short."""

_ONE = np.uint64(1)
_WORD = 64


@njit(cache=True)
def _has(sets, row, member):
    return (sets[row, member // _WORD] >> np.uint64(member % _WORD)) & _ONE != 0


@njit(cache=True)
def _put(sets, row, member):
    sets[row, member // _WORD] |= _ONE << np.uint64(member % _WORD)


@njit(cache=True)
def _take(sets, row, member):
    sets[row, member // _WORD] &= ~(_ONE << np.uint64(member % _WORD))


@njit(cache=True)
def _next(sets, row, low):
    """The smallest member of a set from `low` on, or -1."""
    width = sets.shape[1]
    word = low // _WORD
    if word >= width:
        return -1
    bits = sets[row, word] >> np.uint64(low % _WORD)
    at = low
    while True:
        if bits:
            while not bits & np.uint64(0xFF):
                bits >>= np.uint64(8)
                at += 8
            while not bits & _ONE:
                bits >>= _ONE
                at += 1
            return at
        word += 1
        if word == width:
            return -1
        bits = sets[row, word]
        at = word * _WORD


@njit(cache=True)
def _insert(line, number, source, target, kind):
    """Enter a line-graph vertex, whose sets are filled in, into those of its neighbours."""
    ends, before, after, head, chain, _ = line
    ends[number, 0], ends[number, 1], ends[number, 2] = source, target, kind
    chain[number] = -1
    last = head[source, target]
    if last < 0:
        head[source, target] = number
    else:
        while chain[last] >= 0:
            last = chain[last]
        chain[last] = number
    other = _next(before, number, 0)
    while other >= 0:
        _put(after, other, number)
        other = _next(before, number, other + 1)
    other = _next(after, number, 0)
    while other >= 0:
        _put(before, other, number)
        other = _next(after, number, other + 1)


@njit(cache=True)
def _remove(line, number, stack, depth):
    """Take a line-graph vertex away and put its neighbours on the stack; returns its depth."""
    ends, before, after, head, chain, _ = line
    source, target = ends[number, 0], ends[number, 1]
    ends[number, 2] = 0
    if head[source, target] == number:
        head[source, target] = chain[number]
    else:
        last = head[source, target]
        while chain[last] != number:
            last = chain[last]
        chain[last] = chain[number]
    other = _next(before, number, 0)
    while other >= 0:
        _take(after, other, number)
        stack[depth] = other
        depth += 1
        other = _next(before, number, other + 1)
    other = _next(after, number, 0)
    while other >= 0:
        _take(before, other, number)
        stack[depth] = other
        depth += 1
        other = _next(after, number, other + 1)
    return depth


@njit(cache=True)
def _twin(line, source, target, left, right, other_than):
    """A vertex with the predecessors of `left` and the successors of `right`, or -1."""
    _, before, after, head, chain, _ = line
    other = head[source, target]
    while other >= 0:
        if other != other_than:
            same = True
            for w in range(before.shape[1]):
                if before[other, w] != before[left, w] or after[other, w] != after[right, w]:
                    same = False
                    break
            if same:
                return other
        other = chain[other]
    return -1


@njit(cache=True)
def _eliminate(line, inner, tables, left, right, count, stack):
    """Eliminate a face as `gradgen.elimination.face` does.

    Returns how many numbers are taken, and the cost, packed as for edges (`edge_kernels`).
    """
    ends, before, after, _, _, log = line
    log[0, 0] += 1
    log[log[0, 0], 0], log[log[0, 0], 1] = left, right
    source, target = ends[left, 0], ends[right, 1]
    cost = np.int64(tables[2, ends[right, 2], ends[left, 2]])
    kind = tables[0, ends[right, 2], ends[left, 2]]
    twin = _twin(line, source, target, left, right, -1)
    if twin >= 0:
        ends[twin, 2] = tables[1, ends[twin, 2], kind]
        cost += 1
    else:
        before[count, :] = before[left, :]
        after[count, :] = after[right, :]
        _insert(line, count, source, target, kind)
        count += 1
    _take(after, left, right)
    _take(before, right, left)
    stack[0], stack[1] = left, right
    depth = 2
    while depth:
        depth -= 1
        number = stack[depth]
        kind = ends[number, 2]
        if not kind:
            continue
        source, target = ends[number, 0], ends[number, 1]
        if (inner[source] and _next(before, number, 0) < 0) or (
            inner[target] and _next(after, number, 0) < 0
        ):
            depth = _remove(line, number, stack, depth)
            continue
        twin = _twin(line, source, target, number, number, number)
        if twin >= 0:
            keep, drop = min(number, twin), max(number, twin)
            ends[keep, 2] = tables[1, ends[keep, 2], ends[drop, 2]]
            depth = _remove(line, drop, stack, depth)
            cost += 1
    return count, cost


@njit(cache=True)
def _is_full(line, count):
    """Whether the arrays have no room for another face elimination."""
    return count == line[0].shape[0] or line[5][0, 0] + 1 == line[5].shape[0]


@njit(cache=True)
def _find(line, inner, item, low, count):
    """The first face that an item names, or (-1, -1); for a vertex from line-graph vertex `low`."""
    ends, before, after, head, chain, _ = line
    what, a, b, c = item[0], item[1], item[2], item[3]
    if what == VERTEX:
        for left in range(low, count):
            if ends[left, 2] and ends[left, 1] == a:
                return left, _next(after, left, 0)
        return -1, -1
    number = head[a, b]
    if what == FRONT:
        return (number, _next(after, number, 0)) if number >= 0 and inner[b] else (-1, -1)
    if what == BACK:
        return (_next(before, number, 0), number) if number >= 0 and inner[a] else (-1, -1)
    found_left, found_right = -1, -1
    while number >= 0:
        right = head[b, c]
        while right >= 0:
            if _has(after, number, right):
                if item[4] != LAST:
                    return number, right
                found_left, found_right = number, right
            right = chain[right]
        number = chain[number]
    return found_left, found_right


@njit(cache=True)
def run_faces(line, first, inner, tables, items, stop, used, stack):
    """Take the items before `stop` on the line graph `first`; returns the count and the cost.

    The cost is huge if the arrays are too short. What was eliminated is in the log from row 1 on.
    """
    ends, before, after, head, chain, log = line
    count, total = first[0].shape[0], np.int64(0)
    ends[:count] = first[0]
    before[:count] = first[1]
    after[:count] = first[2]
    head[:] = first[3]
    chain[:count] = first[4]
    log[0, 0] = 0
    for n in range(stop):
        done, low = log[0, 0], 0
        while not _is_full(line, count):
            left, right = _find(line, inner, items[n], low, count)
            if left < 0:
                break
            low = left
            count, cost = _eliminate(line, inner, tables, left, right, count, stack)
            total += cost
            if items[n, 4] != ALL:
                break
        used[n] = log[0, 0] > done
    if _is_full(line, count):
        total = np.int64(TOO_LONG)
    return count, total


@njit(cache=True)
def random_face(line, inner, count, state, item):
    """Fill in a step that is possible now; returns whether there is one."""
    ends, _, after, _, _, _ = line
    found = 0
    for left in range(count):
        if not ends[left, 2]:
            continue
        right = _next(after, left, 0)
        while right >= 0:
            found += 1
            if draw(state, found) == 0:
                item[0], item[1], item[2] = FACE, ends[left, 0], ends[left, 1]
                item[3], item[4] = ends[right, 1], ALL
            right = _next(after, left, right + 1)
    if not found:
        return False
    choice = draw(state, 10)
    if choice < 2:
        item[0] = FRONT
    elif choice < 4:
        item[0], item[1], item[2] = BACK, item[2], item[3]
    elif choice < 6:
        item[4] = FIRST if choice == 4 else LAST
    return True
