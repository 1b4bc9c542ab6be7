"""The orders of which none is beaten in all objectives at once."""

from __future__ import annotations

from collections.abc import Iterable
from operator import le

from gradgen.search.arrays.states import Cost, Priced


def beats(one: Cost, other: Cost) -> bool:
    """Whether a cost is no dearer in anything, equal ones included."""
    return all(map(le, one, other))


class ParetoFront:
    """Orders that were met, without those that another one beats; of equal ones the first."""

    def __init__(self, known: Iterable[Priced] = ()) -> None:
        self.orders: list[Priced] = []
        for order in known:
            self.add(order)

    def allows(self, costs: Cost) -> bool:
        """Whether nothing beats this."""
        return not any(beats(known.costs, costs) for known in self.orders)

    def add(self, order: Priced) -> None:
        """Take an order in, unless another one beats it."""
        if self.allows(order.costs):
            self.orders = [o for o in self.orders if not beats(order.costs, o.costs)]
            self.orders.append(order)
