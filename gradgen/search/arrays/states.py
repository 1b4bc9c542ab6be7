"""Graphs of arrays under elimination, as a search sees them: numbers, and a table of prices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gradgen.elimination.array_edges import Edges, Vertex
from gradgen.elimination.array_graphs import ArrayGraph
from gradgen.elimination.array_table import Code, coded
from gradgen.ir.array_plan import ArrayOrder
from gradgen.ir.shapes import Sizes

Steps = tuple[Vertex, ...]


@dataclass(frozen=True)
class Priced:
    """An order of a graph's intermediates, and its multiplications."""

    steps: Steps
    price: int
    found_by: str


class Eliminations:
    """What can be eliminated from a graph, and for how much; counts the work of finding out."""

    def __init__(self, graph: ArrayGraph, sizes: Sizes) -> None:
        self._graph = graph
        self._table, self.start = coded(graph, sizes)
        self._number = {v: k for k, v in enumerate(graph.vertices)}
        self.intermediates = self.numbers(graph.intermediates)
        self.work = 0
        """Products that were looked up so far."""

    def numbers(self, variables: Iterable[str]) -> Steps:
        """Vertices by number."""
        return tuple(self._number[v] for v in variables)

    def order(self, found: Priced, *, proved: bool = False) -> ArrayOrder:
        """An order of numbers as one of variables."""
        names = self._graph.vertices
        return ArrayOrder(tuple(names[v] for v in found.steps), found.found_by, proved)

    def price(self, edges: Edges[Code], vertex: Vertex) -> int | None:
        """The multiplications of eliminating a vertex; None if that would multiply an operator with
        what is no vector."""
        total = 0
        for left, right in edges.products(vertex):
            self.work += 1
            found = self._table.product(left, right)
            if found is None:
                return None
            total += found[1]
        return total

    def without(self, edges: Edges[Code], vertex: Vertex) -> Edges[Code]:
        """The edges when a vertex that has a price is eliminated."""
        return edges.without(vertex, self._times, self._table.sum)

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
        found = self._table.product(left, right)
        assert found is not None
        return found[0]
