"""Graphs of arrays under elimination, as a search sees them: numbers, and a table of prices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from gradgen.elimination.array_edges import Edges, Vertex
from gradgen.ir.steps import Direction

Steps = tuple[Vertex, ...]
Code = int
"""What stands for a term."""


class Prices(Protocol):
    """What products and sums of terms are, and what products take."""

    def product(self, left: Code, right: Code) -> tuple[Code, int] | None:
        """A product and its multiplications; None if it is impossible."""

    def sum(self, one: Code, other: Code) -> Code | None:
        """The sum of two terms; None where they are to stay two."""

    def size(self, code: Code) -> int:
        """How many numbers a term stores."""


@dataclass(frozen=True)
class Priced:
    """An order of a graph's intermediates, and its multiplications."""

    steps: Steps
    price: int
    found_by: str


class Eliminations:
    """What can be eliminated from a graph, and for how much; counts the work of finding out."""

    def __init__(self, prices: Prices, start: Edges[Code], intermediates: Steps) -> None:
        self.prices = prices
        self.start, self.intermediates = start, intermediates
        self.work = 0
        """Products that were looked up so far."""

    def price(self, edges: Edges[Code], vertex: Vertex) -> int | None:
        """The multiplications of eliminating a vertex; None if that is impossible."""
        total = 0
        for left, right in edges.products(vertex):
            self.work += 1
            found = self.prices.product(left, right)
            if found is None:
                return None
            total += found[1]
        return total

    def without(self, edges: Edges[Code], vertex: Vertex) -> Edges[Code]:
        """The edges when a vertex that has a price is eliminated."""
        return edges.without(vertex, self._times, self.prices.sum)

    def after_edge(
        self, edges: Edges[Code], source: Vertex, target: Vertex, direction: Direction
    ) -> tuple[Edges[Code], int]:
        """The edges when one that can be is eliminated at its target or its source, and the
        multiplications of that."""
        price = 0

        def times(left: Code, right: Code) -> Code:
            nonlocal price
            found = self.prices.product(left, right)
            assert found is not None
            price += found[1]
            return found[0]

        eliminate = edges.front if direction == "front" else edges.back
        return eliminate(source, target, times, self.prices.sum), price

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
        found = self.prices.product(left, right)
        assert found is not None
        return found[0]
