"""The front of a graph: exactly where few vertices are left to choose from, else by annealing."""

from __future__ import annotations

from collections.abc import Sequence

from gradgen.search.arrays.annealing import annealed
from gradgen.search.arrays.fronts import ParetoFront
from gradgen.search.arrays.states import Cost, Eliminations, Priced
from gradgen.search.arrays.subsets import proved

FEW = 14
"""Graphs of so many intermediates are searched exactly; there are too many sets of more."""
EXACT = 300_000
"""Products that an exact search may look up: some seconds."""
MIXTURES = 8
"""Between the two counts, into so many steps, weights go from the one to the other."""
EACH, MOST = 1_000, 40_000
"""Products that annealing looks up for each intermediate and each mixture, and in all of one."""


def explore(
    eliminations: Eliminations, known: Sequence[Priced], seed: int
) -> tuple[list[Priced], bool]:
    """The orders that were met and that none beats, and whether it is proved that these are all.

    `known` are some. Annealing goes by weighted sums of two counts, each in parts of what it varies
    by over the front; points that are best for no weights are kept where it meets them.
    """
    met = ParetoFront(known)
    count = len(eliminations.intermediates)
    if count <= FEW:
        found, complete = proved(eliminations, met.orders, EXACT)
        if complete:
            return found, True
        met = ParetoFront(found)
    work = min(EACH * count, MOST)
    for number in range(MIXTURES + 1):
        spans = [max(column) - min(column) for column in zip(*_costs(met), strict=True)]
        weights = number * max(spans[1], 1), (MIXTURES - number) * max(spans[0], 1)

        def price(costs: Cost, weights: tuple[int, int] = weights) -> Cost:
            return (weights[0] * costs[0] + weights[1] * costs[1], *costs)

        start = min(met.orders, key=lambda order: price(order.costs))
        annealed(eliminations, start, work, seed + number, price, met)
    return met.orders, False


def _costs(front: ParetoFront) -> list[Cost]:
    return [order.costs for order in front.orders]
