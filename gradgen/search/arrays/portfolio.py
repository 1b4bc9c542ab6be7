"""Chooses how to search for an order on a graph of arrays, by work that is fixed."""

from __future__ import annotations

from gradgen.elimination.array_graphs import END, ArrayGraph
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
    return planned(graph, _mode(graph), sizes)


def _mode(graph: ArrayGraph) -> ArrayOrder:
    pushed = all(source == END for _, source in graph.ends)
    return forward(graph) if pushed else reverse(graph)


def find_order(graph: ArrayGraph, sizes: Sizes) -> ArrayOrder | None:
    """The order with the fewest multiplications that is found; None if there is no order at all."""
    eliminations = Eliminations(graph, sizes)
    known = [_priced(eliminations, mode(graph)) for mode in (_mode, reverse, forward)]
    if not any(known):
        known.append(_priced(eliminations, from_both_ends(graph)))
    known += [markowitz(eliminations, tie) for tie in (lambda v: v, lambda v: -v)]
    possible = [order for order in known if order is not None]
    if not possible:
        return None
    best, optimal = min(possible, key=lambda order: order.price), False
    count = len(graph.intermediates)
    if count <= FEW:
        best, optimal = proved(eliminations, best, EXACT)
    if not optimal:
        best = annealed(eliminations, best, min(EACH * count, MOST))
    return eliminations.order(best, proved=optimal)


def _priced(eliminations: Eliminations, order: ArrayOrder) -> Priced | None:
    return eliminations.priced(eliminations.numbers(order.steps), order.found_by)


def modes(graph: ArrayGraph, sizes: Sizes) -> dict[str, int]:
    """The multiplications of forward and reverse mode, of that which is possible."""
    found = {}
    for order in (forward(graph), reverse(graph)):
        if _priced(Eliminations(graph, sizes), order) is not None:
            found[order.found_by] = planned(graph, order, sizes).muls
    return found


def candidates(graph: ArrayGraph, sizes: Sizes) -> tuple[ArrayPlan, ...]:
    """The plan of the plain mode of a vector product, then what was found to be cheaper."""
    plain, found = _mode(graph), find_order(graph, sizes)
    assert found is not None
    orders = [found] if found.steps == plain.steps else [plain, found]
    return tuple(planned(graph, order, sizes) for order in orders)
