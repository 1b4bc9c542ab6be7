"""Local search over orders by the operations of the lowered program, primal included.

Multiplications, the objective of the search proper, say how long the accumulation is, but not what
folding and common subexpressions leave of it. Here every order is lowered and counted out, so only
a few hundred can be tried: the neighbours of orders that are good already.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from gradgen.elimination.accumulate import accumulate
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import Plan
from gradgen.ir.program import Program, count_operations

Lowering = Callable[[Plan], Program]


def refine(
    graph: LinearGraph, orders: Sequence[Order], lowering: Lowering, evaluations: int
) -> Order:
    """The order with the fewest operations that is found from the cheapest of `orders`.

    A neighbour has one vertex elsewhere; it is taken if it costs no more operations, ties broken by
    multiplications. `evaluations` counts the programs that are lowered, those of `orders` included.
    The draws are seeded, so that the same arguments give the same order.
    """
    chance = random.Random(0)
    cost = {order.steps: _cost(graph, order, lowering) for order in orders}
    start = min(orders, key=lambda order: cost[order.steps])
    best = start
    size = len(best.steps)
    if size < 2:
        return best
    for _ in range(evaluations - len(orders)):
        steps = list(best.steps)
        moved = steps.pop(chance.randrange(size))
        steps.insert(chance.randrange(size), moved)
        candidate = Order("vertex", graph.fingerprint, tuple(steps), f"{start.found_by}, refined")
        if candidate.steps not in cost:
            cost[candidate.steps] = _cost(graph, candidate, lowering)
        if cost[candidate.steps] <= cost[best.steps]:
            best = candidate
    return best if cost[best.steps] < cost[start.steps] else start


def _cost(graph: LinearGraph, order: Order, lowering: Lowering) -> tuple[int, int]:
    plan = accumulate(graph, order)
    return count_operations(lowering(plan).instructions).total, plan.muls
