"""The front of a graph of single numbers."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import cast

from gradgen.elimination.accumulate import accumulate, resolve
from gradgen.elimination.kind_table import coded_kinds
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import NumberObjective
from gradgen.search.arrays.states import Cost, Eliminations, Priced
from gradgen.search.heuristics import propose, vertex_order
from gradgen.search.pareto.explore import explore
from gradgen.search.pareto.points import ParetoFront, Point, by_name, unbeaten


def front_of_neurons(
    graph: LinearGraph,
    objectives: tuple[NumberObjective, NumberObjective],
    ends: Iterable[Order],
    seed: int = 0,
) -> ParetoFront:
    """The front between two counts; `ends` are orders that are known to be cheap by one."""
    begin = time.monotonic()
    table, edges = coded_kinds(graph, objectives)
    eliminations = Eliminations(table, edges, graph.intermediates, table)

    def counted(order: Order) -> Cost:
        plan = accumulate(graph, order)
        return tuple(cast("int", getattr(plan, objective)) for objective in objectives)

    heuristics = [(order, counted(order)) for order in propose(graph)]
    known = [*heuristics, *((order, counted(order)) for order in ends)]
    given = {resolve(graph, order): order for order, _ in reversed(known)}
    orders = [Priced(resolve(graph, o), costs, o.found_by) for o, costs in known]
    found, complete = explore(eliminations, orders, seed)
    every = [given.get(one.steps) or vertex_order(graph, one.steps, one.found_by) for one in found]
    return ParetoFront(
        objectives,
        tuple(unbeaten(Point(counted(order), order) for order in every)),
        by_name(heuristics),
        complete,
        time.monotonic() - begin,
    )
