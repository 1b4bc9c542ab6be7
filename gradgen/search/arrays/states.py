"""Graphs under elimination, as a search sees them: numbers, and a table of what products cost.

Each objective is a sum over the steps of an order, or a peak: the most that is held at once. What
is held between two steps depends, as the graph does, on which vertices are eliminated alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import add
from typing import Protocol

from gradgen.elimination.joining import Edges, Vertex
from gradgen.ir.steps import Direction

Steps = tuple[Vertex, ...]
Code = int
"""What stands for a term."""
Cost = tuple[int, ...]
"""By objective."""
PEAK = "peak"
"""The objective that is no sum."""


class TermPrices(Protocol):
    """What products and sums of terms are, and what they cost."""

    @property
    def objectives(self) -> tuple[str, ...]:
        """What is counted, by name."""

    def product(self, left: Code, right: Code) -> tuple[Code, Cost] | None:
        """A product and its cost, nothing for a peak; None if it is impossible."""

    def sum(self, one: Code, other: Code) -> Code | None:
        """The sum of two terms; None where they are to stay two."""

    def stored(self, code: Code) -> int:
        """How many numbers a term stores."""


class Holding(Protocol):
    """What terms take where they are held."""

    def size(self, code: Code) -> int:
        """What a term takes."""

    def is_computed(self, code: Code) -> bool:
        """Whether a term is held from when it was made, and not from when it is read first."""


def added(one: Cost, other: Cost) -> Cost:
    """Two costs together."""
    return tuple(map(add, one, other))


@dataclass(frozen=True)
class Priced:
    """An order of a graph's intermediates, and its costs."""

    steps: Steps
    costs: Cost
    found_by: str

    @property
    def price(self) -> int:
        """By the first objective, which often is the only one."""
        return self.costs[0]


class Eliminations:
    """What can be eliminated from a graph, and for how much; counts the work of finding out."""

    def __init__(
        self,
        prices: TermPrices,
        start: Edges[Code],
        intermediates: Steps,
        holding: Holding | None = None,
    ) -> None:
        """`holding` is needed where one of the objectives is a peak."""
        self.prices, self._holding = prices, holding
        self._peaks = tuple(objective == PEAK for objective in prices.objectives)
        self.start, self.intermediates = start, intermediates
        self.nothing: Cost = (0,) * len(self._peaks)
        self.work = 0
        """Products that were looked up so far."""

    def cost(self, edges: Edges[Code], vertex: Vertex) -> Cost | None:
        """What eliminating a vertex costs; of a peak, what is held beyond what is held before. None
        if it is impossible."""
        product = self.prices.product
        products: list[Cost] = []
        for left, right in edges.products(vertex):
            found = product(left, right)
            if found is None:
                self.work += len(products) + 1
                return None
            products.append(found[1])
        self.work += len(products)
        costs = tuple(map(sum, zip(*products, strict=True))) if products else self.nothing
        if self._holding is None:
            return costs
        rise = self._rise(self._holding, edges, vertex)
        return tuple(rise if peak else cost for cost, peak in zip(costs, self._peaks, strict=True))

    def held(self, edges: Edges[Code]) -> Cost:
        """What is held before a step, which adds to its cost: nothing but for a peak."""
        if self._holding is None:
            return self.nothing
        held = _held(self._holding, edges, elementals=False)
        return tuple(held if peak else 0 for peak in self._peaks)

    def ended(self, edges: Edges[Code]) -> Cost:
        """The cost of what is left in the end, which is held: a step of its own."""
        if self._holding is None:
            return self.nothing
        held = _held(self._holding, edges, elementals=True)
        return tuple(held if peak else 0 for peak in self._peaks)

    def least(self, steps: Steps) -> Cost:
        """What no order costs less than, since all hold the same in the end; told by any that is
        possible."""
        if self._holding is None:
            return self.nothing
        found = self.walk(self.start, steps)
        assert found is not None
        return self.ended(found[1][-1])

    def total(self, costs: Iterable[Cost]) -> Cost:
        """The cost of some steps, of which each is told with what is held before it."""
        columns = zip(*costs, strict=True)
        if self._holding is None:
            return tuple(map(sum, columns))
        return tuple(
            max(column) if peak else sum(column)
            for column, peak in zip(columns, self._peaks, strict=True)
        )

    def changed(self, edges: Edges[Code], vertex: Vertex) -> Iterable[Vertex]:
        """The vertices whose costs may be others once a vertex is eliminated: its neighbours; of a
        peak, which counts sums as well, those that join the same neighbours, too."""
        into, out = edges.into[vertex], edges.out[vertex]
        if self._holding is None:
            return into.union(out)
        below = {v for source in into for v in edges.out[source]}
        above = {v for target in out for v in edges.into[target]}
        return into.union(out, below & above)

    def without(self, edges: Edges[Code], vertex: Vertex) -> Edges[Code]:
        """The edges when a vertex that has a cost is eliminated."""
        return edges.without(vertex, self._times, self.prices.sum)

    def after_edge(
        self, edges: Edges[Code], source: Vertex, target: Vertex, direction: Direction
    ) -> tuple[Edges[Code], int]:
        """The edges when one that can be is eliminated at its target or its source, and what that
        costs by the first objective, which is no peak."""
        price = 0

        def times(left: Code, right: Code, *_: Vertex) -> Code:
            nonlocal price
            found = self.prices.product(left, right)
            assert found is not None
            price += found[1][0]
            return found[0]

        eliminate = edges.front if direction == "front" else edges.back
        return eliminate(source, target, times, self.prices.sum), price

    def walk(
        self, edges: Edges[Code], steps: Sequence[Vertex]
    ) -> tuple[list[Cost], list[Edges[Code]]] | None:
        """The cost of each step, with what is held before it, and the edges before and after all
        of them; None if one is impossible."""
        costs, states = [], [edges]
        for vertex in steps:
            cost = self.cost(edges, vertex)
            if cost is None:
                return None
            costs.append(added(self.held(edges), cost))
            edges = self.without(edges, vertex)
            states.append(edges)
        return costs, states

    def priced(self, steps: Steps, found_by: str) -> Priced | None:
        """An order of all intermediates with its costs; None if it is impossible."""
        found = self.walk(self.start, steps)
        if found is None:
            return None
        costs, states = found
        return Priced(steps, self.total([*costs, self.ended(states[-1])]), found_by)

    def _times(self, left: Code, right: Code, middle: Vertex, target: Vertex) -> Code:
        found = self.prices.product(left, right)
        assert found is not None
        return found[0]

    def _rise(self, holding: Holding, edges: Edges[Code], vertex: Vertex) -> int:
        """The most that is held while a vertex is eliminated, beyond what is held before.

        Products and sums are taken in the order of `Edges.without`, and held as
        `gradgen.ir.liveness` says: a factor from its first product to its last one.
        """
        size, out = holding.size, edges.out[vertex]
        sources, targets = sorted(edges.into[vertex]), sorted(out)
        held = most = 0
        for source in sources:
            rights = edges.out[source][vertex]
            for target in targets:
                lefts, terms = out[target], list(edges.out[source].get(target, ()))
                for m, left in enumerate(lefts):
                    for n, right in enumerate(rights):
                        first_left = source == sources[0] and n == 0
                        last_left = source == sources[-1] and n == len(rights) - 1
                        first_right = target == targets[0] and m == 0
                        last_right = target == targets[-1] and m == len(lefts) - 1
                        held += _when_read(holding, left) * first_left
                        held += _when_read(holding, right) * first_right
                        most = max(most, held)
                        self.work += 1
                        product = self._times(left, right, vertex, target)
                        held += size(product) - size(left) * last_left - size(right) * last_right
                        most = max(most, held)
                        held, most = self._summed(holding, terms, product, held, most)
        return most

    def _summed(
        self, holding: Holding, terms: list[Code], term: Code, held: int, most: int
    ) -> tuple[int, int]:
        """Add a term to the first that it can be added to; what is held then, and was at most."""
        size = holding.size
        for k, other in enumerate(terms):
            found = self.prices.sum(other, term)
            if found is not None:
                terms[k] = found
                held += _when_read(holding, other)
                most = max(most, held)
                held += size(found) - size(other) - size(term)
                return held, max(most, held)
        terms.append(term)
        return held, most


def _held(holding: Holding, edges: Edges[Code], *, elementals: bool) -> int:
    """What all terms take, or those that were computed."""
    return sum(
        holding.size(term)
        for targets in edges.out.values()
        for terms in targets.values()
        for term in terms
        if elementals or holding.is_computed(term)
    )


def _when_read(holding: Holding, term: Code) -> int:
    """What a term takes from when it is read first, if it was not held before."""
    return 0 if holding.is_computed(term) else holding.size(term)
