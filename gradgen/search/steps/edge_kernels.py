"""Compiled edge elimination. Imports numba: import it late.

The graph is a matrix of the codes of kinds, indexed [target, source], and `tables` holds what codes
combine to and cost: the product, sum and cost tables of `gradgen.search.compact`. A cost is packed:
that of the objective above the bits of `gradgen.search.steps.items.TIE_BITS`, below it the products
and sums, which break ties.
"""

# mypy: disable-error-code="untyped-decorator, import-untyped, no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np
from numba import njit

from gradgen.search.random_kernels import draw
from gradgen.search.steps.items import BACK, FRONT, VERTEX


@njit(cache=True)
def _front(kinds, tables, source, target):
    """Front-eliminate an edge; returns its cost. `kinds` is indexed [target, source]."""
    size, cost, right = kinds.shape[0], np.int64(0), kinds[target, source]
    for k in range(target + 1, size):
        left = kinds[k, target]
        if left:
            cost += tables[2, left, right] + (kinds[k, source] != 0)
            kinds[k, source] = tables[1, kinds[k, source], tables[0, left, right]]
    kinds[target, source] = 0
    for i in range(target):
        if kinds[target, i]:
            return cost
    kinds[:, target] = 0
    return cost


@njit(cache=True)
def _back(kinds, tables, source, target):
    """Back-eliminate an edge; returns its cost."""
    size, cost, left = kinds.shape[0], np.int64(0), kinds[target, source]
    for i in range(source):
        right = kinds[source, i]
        if right:
            cost += tables[2, left, right] + (kinds[target, i] != 0)
            kinds[target, i] = tables[1, kinds[target, i], tables[0, left, right]]
    kinds[target, source] = 0
    for k in range(source + 1, size):
        if kinds[k, source]:
            return cost
    kinds[source, :] = 0
    return cost


@njit(cache=True)
def run_edges(kinds, work, inner, tables, items, stop, used):
    """Take the items before `stop`, which makes `work` of `kinds`; returns the packed cost.

    `used` says for each item whether it did anything.
    """
    cost = np.int64(0)
    work[:] = kinds
    for n in range(stop):
        what, a, b = items[n, 0], items[n, 1], items[n, 2]
        used[n] = False
        if what == VERTEX:
            for source in range(a):
                if work[a, source]:
                    used[n] = True
                    cost += _front(work, tables, source, a)
        elif what == FRONT and work[b, a] and inner[b]:
            used[n] = True
            cost += _front(work, tables, a, b)
        elif what == BACK and work[b, a] and inner[a]:
            used[n] = True
            cost += _back(work, tables, a, b)
    return cost


@njit(cache=True)
def random_edge(kinds, inner, state, item):
    """Fill in a step that is possible now; returns whether there is one."""
    size, found = kinds.shape[0], 0
    for target in range(size):
        for source in range(target):
            if kinds[target, source]:
                for what, at in ((FRONT, target), (BACK, source)):
                    if inner[at]:
                        found += 1
                        if draw(state, found) == 0:
                            item[0], item[1], item[2] = what, source, target
    return found > 0
