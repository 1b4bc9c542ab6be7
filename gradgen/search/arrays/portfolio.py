"""Chooses how to search for an order on a graph of arrays, by work that is fixed."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from gradgen.elimination.array_graphs import END, ArrayGraph
from gradgen.elimination.array_table import coded
from gradgen.elimination.arrays import forward, from_both_ends, planned, reverse
from gradgen.elimination.vertex import OrderMismatchError
from gradgen.ir.array_plan import ArrayObjective, ArrayPlan
from gradgen.ir.graph import Order
from gradgen.ir.recipe import ArrayRecipe, Searched
from gradgen.ir.shapes import Sizes
from gradgen.search.arrays.annealing import annealed
from gradgen.search.arrays.markowitz import markowitz
from gradgen.search.arrays.states import Eliminations, Priced
from gradgen.search.arrays.subsets import proved
from gradgen.search.portfolio import SearchResult

FEW = 14
"""Graphs of so many intermediates are searched exactly; there are too many sets of more."""
EXACT = 100_000
"""Products that an exact search may look up: less than a second."""
EACH, MOST = 1_500, 60_000
"""Products that annealing looks up for each intermediate, and in all: some tenths of a second."""


def sweep(graph: ArrayGraph, sizes: Sizes) -> ArrayPlan:
    """The plain mode, for the steps of loops too."""
    return planned(graph, plain_mode(graph), sizes, sweep)


def plain_mode(graph: ArrayGraph) -> Order:
    """Forward mode where all varies with one number, else reverse mode."""
    pushed = all(source == END for _, source in graph.ends)
    return forward(graph) if pushed else reverse(graph)


def find_order(graph: ArrayGraph, sizes: Sizes, objective: ArrayObjective = "muls") -> Order | None:
    """The cheapest order that is found, of equal ones one with few multiplications; None if there
    is no order at all."""
    eliminations = eliminations_of(graph, sizes, (objective,))
    known = [priced(eliminations, graph, mode(graph)) for mode in (plain_mode, reverse, forward)]
    if not any(known):
        known.append(priced(eliminations, graph, from_both_ends(graph)))
    possible = [order for order in known if order is not None]
    found = cheapest(eliminations, possible)
    if found is None:
        return None
    best, optimal = found
    if objective != "muls":
        best = _with_few_multiplications(graph, sizes, objective, [*possible, best])
    return graph.order((graph.vertices[v] for v in best.steps), best.found_by, proved=optimal)


def _with_few_multiplications(
    graph: ArrayGraph, sizes: Sizes, objective: ArrayObjective, known: Sequence[Priced]
) -> Priced:
    """An order that is no dearer than the cheapest that are known."""
    eliminations = eliminations_of(graph, sizes, (objective, "muls"))
    both = [eliminations.priced(order.steps, order.found_by) for order in known]
    best = min((order for order in both if order is not None), key=lambda order: order.costs)
    return annealed(eliminations, best, _work(eliminations))


def _work(eliminations: Eliminations) -> int:
    return min(EACH * len(eliminations.intermediates), MOST)


def _greedy(eliminations: Eliminations) -> list[Priced | None]:
    """The orders of Markowitz's rule, with ties broken in two ways."""
    return [markowitz(eliminations, tie) for tie in (lambda v: v, lambda v: -v)]


def cheapest(
    eliminations: Eliminations, known: Sequence[Priced], work: int | None = None
) -> tuple[Priced, bool] | None:
    """The cheapest order that is found, from those that are known, and whether that is proved.

    `work` is that of annealing, if it is to be another than by the number of intermediates.
    """
    possible = [*known, *(order for order in _greedy(eliminations) if order is not None)]
    if not possible:
        return None
    best, optimal = min(possible, key=lambda order: order.costs), False
    count = len(eliminations.intermediates)
    if count <= FEW:
        found, optimal = proved(eliminations, [best], EXACT)
        best = min(found, key=lambda order: order.costs)
    if not optimal:
        best = annealed(eliminations, best, work or _work(eliminations))
    return best, optimal


def eliminations_of(
    graph: ArrayGraph, sizes: Sizes, objectives: Sequence[ArrayObjective] = ("muls",)
) -> Eliminations:
    """A graph as a search sees it: vertices have the numbers of their places."""
    number = {v: k for k, v in enumerate(graph.vertices)}
    table, edges = coded(graph, sizes, objectives)
    steps = tuple(number[v] for v in graph.intermediates)
    return Eliminations(table, edges, steps, table if "peak" in objectives else None)


def priced(eliminations: Eliminations, graph: ArrayGraph, order: Order) -> Priced | None:
    """An order with its price; None if it is impossible."""
    number = {v: k for k, v in enumerate(graph.vertices)}
    return eliminations.priced(tuple(number[v] for v in graph.steps(order)), order.found_by)


def modes(graph: ArrayGraph, sizes: Sizes) -> dict[str, int]:
    """The multiplications of forward and reverse mode, of that which is possible."""
    found = {}
    for order in (forward(graph), reverse(graph)):
        if priced(eliminations_of(graph, sizes), graph, order) is not None:
            found[order.found_by] = planned(graph, order, sizes).muls
    return found


@dataclass(frozen=True)
class Orders:
    """Where the orders of graphs come from: from a record, from a search, or from both."""

    recorded: Mapping[str, Order] = field(default_factory=dict)
    """By the fingerprints of graphs."""
    searched: Searched = "missing"
    given: tuple[Order, ...] = ()
    """What is asked for, each for the graph whose vertices it names."""
    objective: ArrayObjective = "muls"
    """What is searched for."""

    def candidates(self, graph: ArrayGraph, sizes: Sizes) -> tuple[ArrayPlan, ...]:
        """The plan of the plain mode of a vector product, then what was found to be cheaper; or
        that of the order that is recorded, first. Where plain modes are to be taken, that alone.

        Around loops the plain mode is taken, in which whatever follows a loop comes before it, or
        after; their steps are searched. Raises OrderMismatchError where nothing is recorded for
        the graph, and nothing may be searched for.
        """
        if self.searched == "plain":
            return (sweep(graph, sizes),)
        known = self._known(graph, sizes)
        orders = [] if known is None else [known]
        if known is None or self.searched == "all":
            plain = plain_mode(graph)
            found = plain if graph.loops else find_order(graph, sizes, self.objective)
            assert found is not None
            orders += [found] if found.steps == plain.steps else [plain, found]
        return tuple(planned(graph, order, sizes, self.of_steps) for order in orders)

    def cheapest(self, graph: ArrayGraph, sizes: Sizes) -> ArrayPlan:
        """The cheapest plan of a graph without loops, whose modes may be impossible, what is
        recorded first. Raises OrderMismatchError as `candidates` does."""
        known = self._known(graph, sizes)
        orders = [] if known is None else [known]
        if known is None or self.searched == "all":
            found = find_order(graph, sizes, self.objective)
            assert found is not None
            orders.append(found)
        return min((planned(graph, order, sizes) for order in orders), key=self.price)

    def price(self, plan: ArrayPlan) -> tuple[int, ...]:
        """What plans are compared by."""
        return plan.ranked(self.objective)

    def may_search(self, graph: ArrayGraph, sizes: Sizes) -> bool:
        """Whether an order is looked for, beside one that is recorded."""
        missing = self.searched != "plain" and self.replayed(graph, sizes) is None
        return missing or self.searched == "all"

    def _known(self, graph: ArrayGraph, sizes: Sizes) -> Order | None:
        known = self.replayed(graph, sizes)
        if known is None and self.searched == "never":
            raise OrderMismatchError("no order is recorded for this graph")
        return known

    def replayed(self, graph: ArrayGraph, sizes: Sizes) -> Order | None:
        """The order that is recorded for a graph; None if there is none, or none that is possible.

        It is called optimal no more if a plain mode, or Markowitz's rule, is cheaper.
        """
        recorded = self.recorded.get(graph.fingerprint)
        for given in self.given:
            if {*given.steps} == {graph.names[v] for v in graph.intermediates}:
                recorded = replace(given, fingerprint=graph.fingerprint)
        if recorded is None:
            return None
        order = _in_full(graph, recorded)
        if graph.loops:
            same = order.steps == plain_mode(graph).steps
            return replace(order, proved_optimal=False) if same else None
        eliminations = eliminations_of(graph, sizes, (self.objective,))
        try:
            price = priced(eliminations, graph, order)
        except OrderMismatchError:
            return None
        if price is None:
            return None
        if order.proved_optimal:
            plain = [priced(eliminations, graph, mode(graph)) for mode in (forward, reverse)]
            at_hand = [one.price for one in (*plain, *_greedy(eliminations)) if one is not None]
            order = replace(order, proved_optimal=price.price <= min(at_hand, default=price.price))
        return order

    def of_steps(self, graph: ArrayGraph, sizes: Sizes) -> ArrayPlan:
        """The cheapest plan of a step, the first one if there are more."""
        return min(self.candidates(graph, sizes), key=self.price)


_PLAIN = {"forward": forward, "reverse": reverse}


def _in_full(graph: ArrayGraph, recorded: Order) -> Order:
    """An order with its steps, where it only names a mode."""
    if recorded.steps or recorded.found_by not in _PLAIN:
        return recorded
    mode = _PLAIN[recorded.found_by](graph)
    return replace(mode, proved_optimal=recorded.proved_optimal)


def recipe_of(plans: Mapping[str, ArrayPlan]) -> ArrayRecipe:
    """The orders of plans, by what these are of, and those of the steps of their loops."""
    orders: dict[str, tuple[str, Order]] = {}

    def note(name: str, plan: ArrayPlan) -> None:
        order = plan.order
        kept = replace(order, steps=()) if order.found_by in _PLAIN else order
        orders.setdefault(order.fingerprint, (name, kept))
        for number, steps in enumerate(plan.of_steps.values(), start=1):
            note(f"{name}, loop {number}", steps.plan)

    for name, plan in plans.items():
        note(name, plan)
    return ArrayRecipe(tuple(orders.values()))


def search_arrays(graph: ArrayGraph, objective: ArrayObjective = "muls") -> SearchResult:
    """Look for the order of a vector product, and what plain modes and Markowitz's rule take.

    Around loops the plain mode is taken, and their steps are searched. What is proved is proved by
    exact search, and no other bound is known.
    """
    begin = time.monotonic()
    orders, sizes = Orders(objective=objective), graph.sizes
    plan = min(orders.candidates(graph, sizes), key=orders.price)
    plain = [planned(graph, order, sizes, sweep) for order in plain_orders(graph, objective)]
    found: dict[str, int] = {}
    for one in plain:
        cost = one.ranked(objective)[0]
        found[one.order.found_by] = min(cost, found.get(one.order.found_by, cost))
    order, cost = plan.order, plan.ranked(objective)[0]
    return SearchResult(
        order=order,
        cost=cost,
        baselines=tuple(found.items()),
        lower_bound=cost if order.proved_optimal else 0,
        proved=order.proved_optimal,
        found_by=order.found_by,
        bound_by="exact search" if order.proved_optimal else "",
        seconds=time.monotonic() - begin,
    )


def plain_orders(graph: ArrayGraph, objective: ArrayObjective = "muls") -> list[Order]:
    """Forward and reverse mode and the orders of Markowitz's rule by an objective, as far as they
    are possible; around loops the plain mode alone."""
    if graph.loops:
        return [plain_mode(graph)]
    eliminations = eliminations_of(graph, graph.sizes, (objective,))
    modes = [forward(graph), reverse(graph)]
    greedy = [
        graph.order((graph.vertices[v] for v in found.steps), found.found_by)
        for found in _greedy(eliminations)
        if found is not None
    ]
    return [order for order in modes if priced(eliminations, graph, order)] + greedy
