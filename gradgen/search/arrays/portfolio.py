"""Chooses how to search for an order on a graph of arrays, by work that is fixed."""

from __future__ import annotations

from collections.abc import Sequence

from gradgen.elimination.array_graphs import END, ArrayGraph
from gradgen.elimination.array_table import coded
from gradgen.elimination.arrays import forward, from_both_ends, planned, reverse
from gradgen.ir.array_plan import ArrayOrder, ArrayPlan
from gradgen.ir.shapes import Sizes
from gradgen.search.arrays.annealing import annealed
from gradgen.search.arrays.exact import proved
from gradgen.search.arrays.markowitz import markowitz
from gradgen.search.arrays.states import Eliminations, Priced

FEW = 14
"""Graphs of so many intermediates are searched exactly; there are too many sets of more."""
EXACT = 100_000
"""Products that an exact search may look up: less than a second."""
EACH, MOST = 1_500, 60_000
"""Products that annealing looks up for each intermediate, and in all: some tenths of a second."""


def sweep(graph: ArrayGraph, sizes: Sizes) -> ArrayPlan:
    """Forward mode where all varies with one number, else reverse mode."""
    return planned(graph, _mode(graph), sizes, sweep)


def _mode(graph: ArrayGraph) -> ArrayOrder:
    pushed = all(source == END for _, source in graph.ends)
    return forward(graph) if pushed else reverse(graph)


def find_order(graph: ArrayGraph, sizes: Sizes) -> ArrayOrder | None:
    """The order with the fewest multiplications that is found; None if there is no order at all."""
    eliminations = eliminations_of(graph, sizes)
    known = [priced(eliminations, graph, mode(graph)) for mode in (_mode, reverse, forward)]
    if not any(known):
        known.append(priced(eliminations, graph, from_both_ends(graph)))
    found = cheapest(eliminations, [order for order in known if order is not None])
    if found is None:
        return None
    best, optimal = found
    return ArrayOrder(tuple(graph.vertices[v] for v in best.steps), best.found_by, optimal)


def cheapest(
    eliminations: Eliminations, known: Sequence[Priced], work: int | None = None
) -> tuple[Priced, bool] | None:
    """The cheapest order that is found, from those that are known, and whether that is proved.

    `work` is that of annealing, if it is to be another than by the number of intermediates.
    """
    greedy = [markowitz(eliminations, tie) for tie in (lambda v: v, lambda v: -v)]
    possible = [*known, *(order for order in greedy if order is not None)]
    if not possible:
        return None
    best, optimal = min(possible, key=lambda order: order.price), False
    count = len(eliminations.intermediates)
    if count <= FEW:
        best, optimal = proved(eliminations, best, EXACT)
    if not optimal:
        best = annealed(eliminations, best, work or min(EACH * count, MOST))
    return best, optimal


def eliminations_of(graph: ArrayGraph, sizes: Sizes) -> Eliminations:
    """A graph as a search sees it: vertices have the numbers of their places."""
    number = {v: k for k, v in enumerate(graph.vertices)}
    return Eliminations(*coded(graph, sizes), tuple(number[v] for v in graph.intermediates))


def priced(eliminations: Eliminations, graph: ArrayGraph, order: ArrayOrder) -> Priced | None:
    """An order with its price; None if it is impossible."""
    number = {v: k for k, v in enumerate(graph.vertices)}
    return eliminations.priced(tuple(number[v] for v in order.steps), order.found_by)


def modes(graph: ArrayGraph, sizes: Sizes) -> dict[str, int]:
    """The multiplications of forward and reverse mode, of that which is possible."""
    found = {}
    for order in (forward(graph), reverse(graph)):
        if priced(eliminations_of(graph, sizes), graph, order) is not None:
            found[order.found_by] = planned(graph, order, sizes).muls
    return found


def candidates(graph: ArrayGraph, sizes: Sizes) -> tuple[ArrayPlan, ...]:
    """The plan of the plain mode of a vector product, then what was found to be cheaper.

    Around loops the plain mode is taken, in which whatever follows a loop comes before it, or
    after; their steps are searched.
    """
    plain = _mode(graph)
    if graph.loops:
        return (planned(graph, plain, sizes, _best),)
    found = find_order(graph, sizes)
    assert found is not None
    orders = [found] if found.steps == plain.steps else [plain, found]
    return tuple(planned(graph, order, sizes) for order in orders)


def _best(graph: ArrayGraph, sizes: Sizes) -> ArrayPlan:
    """The plan with the fewest multiplications, the plain mode if that is one of them."""
    return min(candidates(graph, sizes), key=lambda plan: (plan.muls, plan.adds))
