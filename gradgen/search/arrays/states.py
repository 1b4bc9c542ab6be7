"""Graphs of arrays under elimination, as a search sees them: numbers, and a table of prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gradgen.elimination.array_edges import Edges, Vertex

Steps = tuple[Vertex, ...]
Code = int
"""What stands for a term."""


class Prices(Protocol):
    """What products and sums of terms are, and what products take."""

    def product(self, left: Code, right: Code) -> tuple[Code, int] | None:
        """A product and its multiplications; None if it is impossible."""

    def sum(self, one: Code, other: Code) -> Code | None:
        """The sum of two terms; None where they are to stay two."""


@dataclass(frozen=True)
class Priced:
    """An order of a graph's intermediates, and its multiplications."""

    steps: Steps
    price: int
    found_by: str


class Eliminations:
    """What can be eliminated from a graph, and for how much; counts the work of finding out."""

    def __init__(self, prices: Prices, start: Edges[Code], intermediates: Steps) -> None:
        self._prices = prices
        self.start, self.intermediates = start, intermediates
        self.work = 0
        """Products that were looked up so far."""

    def price(self, edges: Edges[Code], vertex: Vertex) -> int | None:
        """The multiplications of eliminating a vertex; None if that is impossible."""
        total = 0
        for left, right in edges.products(vertex):
            self.work += 1
            found = self._prices.product(left, right)
            if found is None:
                return None
            total += found[1]
        return total

    def without(self, edges: Edges[Code], vertex: Vertex) -> Edges[Code]:
        """The edges when a vertex that has a price is eliminated."""
        return edges.without(vertex, self._times, self._prices.sum)

    def walk(
        self, edges: Edges[Code], steps: Sequence[Vertex]
    ) -> tuple[list[int], list[Edges[Code]]] | None:
        """The price of each step, and the edges before it; None if one is impossible."""
        prices, states = [], []
        for vertex in steps:
            price = self.price(edges, vertex)
            if price is None:
                return None
            prices.append(price)
            states.append(edges)
            edges = self.without(edges, vertex)
        return prices, states

    def priced(self, steps: Steps, found_by: str) -> Priced | None:
        """An order with its price; None if it is impossible."""
        found = self.walk(self.start, steps)
        return None if found is None else Priced(steps, sum(found[0]), found_by)

    def _times(self, left: Code, right: Code, middle: Vertex, target: Vertex) -> Code:
        found = self._prices.product(left, right)
        assert found is not None
        return found[0]
