"""The types of a Pareto front."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from gradgen.ir.graph import Order
from gradgen.search.arrays.fronts import beats
from gradgen.search.arrays.states import Cost


@dataclass(frozen=True)
class Point:
    """An order with its counts, which are those of the plan that it leads to."""

    costs: Cost
    order: Order
    loops: tuple[tuple[str, Order], ...] = ()
    """On arrays, the orders of loops' steps, by what these are called."""

    def document(self) -> dict[str, object]:
        """The orders as `--order` reads them."""
        found: dict[str, object] = json.loads(self.order.to_json())
        loops = {name: json.loads(order.to_json()) for name, order in self.loops}
        return found | ({"loops": loops} if loops else {})


@dataclass(frozen=True)
class ParetoFront:
    """What was found of a front."""

    objectives: tuple[str, str]
    points: tuple[Point, ...]
    """Ascending by the first count, and so descending by the second."""
    plain: tuple[tuple[str, Cost], ...]
    """What forward, reverse and Markowitz orders come to, as far as they are possible."""
    complete: bool
    """Whether it is proved that there are no other points."""
    seconds: float


class _Counted(Protocol):
    @property
    def costs(self) -> Cost:
        """By objective."""


C = TypeVar("C", bound=_Counted)


def unbeaten(found: Iterable[C]) -> list[C]:
    """What nothing else beats, of equal costs the first, by ascending costs."""
    kept: list[C] = []
    for one in sorted(found, key=lambda one: one.costs):
        if not any(beats(other.costs, one.costs) for other in kept):
            kept.append(one)
    return kept


def by_name(orders: Sequence[tuple[Order, Cost]]) -> tuple[tuple[str, Cost], ...]:
    """The costs of plain orders by the first word of how they were found; one of two that have the
    same is left out if the other one beats it, or comes first."""
    found: dict[str, Cost] = {}
    for order, costs in orders:
        name = order.found_by.partition(",")[0]
        if name not in found or beats(costs, found[name]):
            found[name] = costs
    return tuple(found.items())
