"""The decisions behind a generated module: with its source they determine every line of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gradgen.ir.graph import Order

Steps = str | tuple[str, ...]
"""The name of a heuristic that gives the order, or its steps."""


@dataclass(frozen=True)
class Recipe:
    """What was searched for once, and is replayed ever after."""

    order: Order
    """Of the Jacobian's accumulation."""
    rewriting: int | None
    """Where the Jacobian's rewriting started from; None where no program is rewritten."""
    vjp: Steps
    """Of the vector-Jacobian product's accumulation."""
    jvp: Steps
    """Of the Jacobian-vector product's accumulation."""
    hvp: Steps | None = None
    """Of the Hessian-vector product's, where there is one."""


@dataclass(frozen=True)
class ArrayRecipe:
    """The same of a module on arrays: an order for each graph of its plans, by what it is of."""

    orders: tuple[tuple[str, Order], ...]
    """One for each fingerprint. Those of plain modes have no steps: the graph tells them."""

    @cached_property
    def by_graph(self) -> dict[str, Order]:
        """By the fingerprint of the graph."""
        return {order.fingerprint: order for _, order in self.orders}


Searched = Literal["missing", "never", "all", "plain"]
"""Which orders are searched for: those that are not recorded, none, or all, to keep the better; or
none, and plain modes are taken."""
