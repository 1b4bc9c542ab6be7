"""Local search over orders by what their programs cost.

Multiplications, the objective of the search proper, say how long the accumulation is, but not what
folding and common subexpressions leave of it. Here every order is lowered and counted out, so only
a few hundred can be tried: the neighbours of orders that are good already.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from gradgen.ir.graph import Order

Cost = tuple[int, int]


def refine(orders: Sequence[Order], cost: Callable[[Order], Cost], evaluations: int) -> Order:
    """The cheapest order that is found from the cheapest of `orders`.

    A neighbour has one vertex elsewhere, and is taken if it costs no more. `evaluations` limits how
    often costs are asked for. The draws are seeded, so that the same arguments give the same order.
    Orders of edges have no neighbours here.
    """
    chance = random.Random(0)
    known = {order.steps: cost(order) for order in orders}
    start = best = min(orders, key=lambda order: known[order.steps])
    size = len(best.steps)
    if best.elimination != "vertex" or size < 2:
        return best
    for _ in range(evaluations - len(orders)):
        steps = list(best.steps)
        moved = steps.pop(chance.randrange(size))
        steps.insert(chance.randrange(size), moved)
        candidate = Order("vertex", start.fingerprint, tuple(steps), f"{start.found_by}, refined")
        if candidate.steps not in known:
            known[candidate.steps] = cost(candidate)
        if known[candidate.steps] <= known[best.steps]:
            best = candidate
    return best if known[best.steps] < known[start.steps] else start
