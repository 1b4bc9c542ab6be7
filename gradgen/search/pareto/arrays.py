"""The front of a graph of arrays.

Around loops the plain mode is taken. Their steps are run between all that is outside of them, so
that whatever makes a step dearer makes the whole dearer, and a front of the whole is made of those
of the steps.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from itertools import product

from gradgen.elimination.array_graphs import ArrayGraph
from gradgen.elimination.arrays import planned
from gradgen.ir.array_plan import ArrayObjective, ArrayPlan
from gradgen.ir.graph import Order
from gradgen.ir.shapes import Sizes
from gradgen.search.arrays.portfolio import (
    Orders,
    eliminations_of,
    find_order,
    plain_mode,
    plain_orders,
    priced,
)
from gradgen.search.pareto.explore import explore
from gradgen.search.pareto.points import ParetoFront, Point, by_name, unbeaten

Objectives = tuple[ArrayObjective, ArrayObjective]


def front_of_arrays(graph: ArrayGraph, objectives: Objectives, seed: int = 0) -> ParetoFront:
    """The front between two counts of a vector product."""
    begin = time.monotonic()
    plans, complete = _plans(graph, objectives, seed)
    of_steps = Orders().of_steps
    plain = [planned(graph, order, graph.sizes, of_steps) for order in plain_orders(graph)]
    return ParetoFront(
        objectives,
        tuple(unbeaten(_point(plan, objectives) for plan in plans)),
        by_name([(plan.order, _counts(plan, objectives)) for plan in plain]),
        complete,
        time.monotonic() - begin,
    )


def _counts(plan: ArrayPlan, objectives: Objectives) -> tuple[int, ...]:
    return tuple(plan.count(objective) for objective in objectives)


def _point(plan: ArrayPlan, objectives: Objectives) -> Point:
    return Point(_counts(plan, objectives), plan.order, tuple(_of_loops(plan)))


def _of_loops(plan: ArrayPlan, above: str = "") -> Iterator[tuple[str, Order]]:
    for number, steps in enumerate(plan.of_steps.values(), start=1):
        name = f"{above}loop {number}"
        yield name, steps.plan.order
        yield from _of_loops(steps.plan, f"{name}, ")


def _plans(graph: ArrayGraph, objectives: Objectives, seed: int) -> tuple[list[ArrayPlan], bool]:
    """The plans that none beats, and whether these are proved to be all of this kind."""
    if graph.loops:
        return _around_loops(graph, objectives, seed)
    eliminations = eliminations_of(graph, graph.sizes, objectives)
    ends = [find_order(graph, graph.sizes, objective) for objective in objectives]
    orders = [*plain_orders(graph), *(order for order in ends if order is not None)]
    known = [priced(eliminations, graph, order) for order in orders]
    found, complete = explore(eliminations, [one for one in known if one is not None], seed)
    return [
        planned(
            graph,
            graph.order((graph.vertices[v] for v in one.steps), one.found_by),
            graph.sizes,
        )
        for one in found
    ], complete


def _around_loops(
    graph: ArrayGraph, objectives: Objectives, seed: int
) -> tuple[list[ArrayPlan], bool]:
    fronts: dict[str, list[ArrayPlan]] = {}
    proofs: list[bool] = []

    def first(steps: ArrayGraph, sizes: Sizes) -> ArrayPlan:
        plans, complete = _plans(steps, objectives, seed)
        proofs.append(complete)
        fronts[steps.fingerprint] = plans
        return plans[0]

    order = plain_mode(graph)
    planned(graph, order, graph.sizes, first)

    def whole(chosen: Sequence[ArrayPlan]) -> ArrayPlan:
        of_steps = dict(zip(fronts, chosen, strict=True))
        return planned(graph, order, graph.sizes, lambda g, _: of_steps[g.fingerprint])

    return [whole(chosen) for chosen in product(*fronts.values())], all(proofs)
