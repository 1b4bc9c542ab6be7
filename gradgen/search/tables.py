"""What products and sums of a graph's terms are, and what they take, as tables of numbers.

A search that is compiled, or learns, cannot ask for products one by one. So the terms that can come
about while a graph is eliminated are numbered beforehand, from one (zero is no term): the least set
that has those of the graph and is closed under products and sums. Vertices that are alike are taken
for one another there, which is fast, and may number terms that never come about.

Between two vertices there may be several terms, such as a diagonal beside a matrix. Those that can
never be added to one another have different *slots*, so that an edge has at most one term in each.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradgen.errors import GradgenError
from gradgen.search.arrays.states import Code, Eliminations

MOST_TERMS = 500
"""Graphs whose terms are more are refused: tables grow with their square."""
MOST_SLOTS = 6

Pair = tuple[Hashable, Hashable]
"""What the target and the source of a term are told from others by."""


@dataclass(frozen=True)
class Tables:
    """C terms, none of them included, in S slots."""

    product: NDArray[np.int16]
    """(S, C, C): the product of two terms where it is of the slot, else none."""
    sum: NDArray[np.int16]
    """(C, C): the sum of two terms of one slot; with none it is the other one."""
    price: NDArray[np.float32]
    """(C, C): the multiplications of a product."""
    impossible: NDArray[np.bool_]
    """(C, C): where there is no product, since an operator is applied to vectors alone."""
    size: NDArray[np.float32]
    """(C,): how many numbers a term stores."""


@dataclass(frozen=True)
class PricedGraph:
    """A graph whose edges are numbers of terms, with the tables of these."""

    terms: NDArray[np.int16]
    """(vertices, vertices, S): the terms of the edge j -> i are at [i, j], as of c_ij."""
    tables: Tables


def priced_graph(
    eliminations: Eliminations, alike: Sequence[Hashable], most: int = MOST_TERMS
) -> PricedGraph:
    """A graph with its tables; vertices that are `alike` are taken for one another.

    Raises GradgenError for a graph of more than `most` terms or MOST_SLOTS slots.
    """
    known = _closed(eliminations, alike, most)
    slots = _slots(eliminations, known)
    codes = list(slots)
    number = {code: k for k, code in enumerate(codes, start=1)}
    count = len(codes) + 1
    depth = 1 + max(slots.values(), default=0)
    product = np.zeros((depth, count, count), np.int16)
    added = np.zeros((count, count), np.int16)
    price, impossible = np.zeros((count, count), np.float32), np.zeros((count, count), np.bool_)
    added[0], added[:, 0] = np.arange(count), np.arange(count)
    inner = {alike[v] for v in eliminations.intermediates}
    for (target, _), terms in known.items():
        for one in terms:
            for other in terms:
                if slots[one] == slots[other]:
                    total = eliminations.prices.sum(one, other)
                    added[number[one], number[other]] = number[other if total is None else total]
            after = [pair for pair in known if pair[1] == target and target in inner]
            for pair in after:
                for left in known[pair]:
                    at = number[left], number[one]
                    found = eliminations.prices.product(left, one)
                    if found is None:
                        impossible[at] = True
                    else:
                        product[slots[found[0]], at[0], at[1]] = number[found[0]]
                        price[at] = found[1][0]
    graph = np.zeros((len(alike), len(alike), depth), np.int16)
    for source, edges in eliminations.start.out.items():
        for target, held in edges.items():
            for code in held:
                graph[target, source, slots[code]] = number[code]
    size = np.array([0, *(eliminations.prices.stored(code) for code in codes)], np.float32)
    return PricedGraph(graph, Tables(product, added, price, impossible, size))


def _closed(
    eliminations: Eliminations, alike: Sequence[Hashable], most: int
) -> dict[Pair, dict[Code, None]]:
    """The terms that can come about between vertices, in a fixed order."""
    prices = eliminations.prices
    inner = {alike[v] for v in eliminations.intermediates}
    known: dict[Pair, dict[Code, None]] = {}
    waiting: list[tuple[Pair, Code]] = []
    every: set[Code] = set()
    after: dict[Hashable, dict[Pair, None]] = {}
    before: dict[Hashable, dict[Pair, None]] = {}

    def add(pair: Pair, code: Code | None) -> None:
        terms = known.setdefault(pair, {})
        before.setdefault(pair[0], {})[pair] = after.setdefault(pair[1], {})[pair] = None
        if code is not None and code not in terms:
            terms[code] = None
            waiting.append((pair, code))
            every.add(code)

    def times(pair: Pair, left: Code, right: Code) -> None:
        found = prices.product(left, right)
        add(pair, None if found is None else found[0])

    for source, edges in eliminations.start.out.items():
        for target, held in edges.items():
            for code in held:
                add((alike[target], alike[source]), code)
    while waiting:
        if len(every) > most:
            raise _too_large(f"more than {most} kinds of partials")
        (end, begin), code = waiting.pop()
        for pair in list(after.get(end, ())) if end in inner else ():
            for other in list(known[pair]):
                times((pair[0], begin), other, code)
        for pair in list(before.get(begin, ())) if begin in inner else ():
            for other in list(known[pair]):
                times((end, pair[1]), code, other)
        for other in list(known[end, begin]):
            add((end, begin), prices.sum(other, code))
    return known


def _slots(eliminations: Eliminations, known: dict[Pair, dict[Code, None]]) -> dict[Code, int]:
    """The slot of each term: what can be added between two vertices shares one, and what is there
    beside it has another; greedily coloured."""
    first: dict[Code, Code] = {}

    def can_add(one: Code, other: Code) -> bool:
        return eliminations.prices.sum(one, other) is not None

    def class_of(code: Code) -> Code:
        while first.setdefault(code, code) != code:
            code = first[code]
        return code

    for terms in known.values():
        for code in terms:
            for other in terms:
                if class_of(other) != class_of(code) and can_add(other, code):
                    first[class_of(code)] = class_of(other)
    beside: dict[Code, dict[Code, None]] = {}
    for terms in known.values():
        classes = dict.fromkeys(class_of(code) for code in terms)
        for code in classes:
            beside.setdefault(code, {}).update(classes)
    slots: dict[Code, int] = {}
    for code, others in beside.items():
        taken = {slots[other] for other in others if other in slots}
        slots[code] = next(k for k in range(len(others) + 1) if k not in taken)
        if slots[code] >= MOST_SLOTS:
            raise _too_large(f"edges of more than {MOST_SLOTS} terms")
    return {code: slots[class_of(code)] for code in first}


def _too_large(what: str) -> GradgenError:
    return GradgenError(
        f"the network cannot play this graph: it has {what}",
        hint="search for the order with --search auto",
    )
