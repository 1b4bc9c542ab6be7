"""Lower bounds on what any vertex order costs, by separators and by blocks of vertices.

The theorems and their proofs are in docs/research/bounds.md. Partitions are found by compiled
search where there are many vertices; what they are worth can be computed again in plain Python.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from gradgen.ir.graph import LinearGraph
from gradgen.ir.plan import ProductObjective
from gradgen.search.deadline import Deadline
from gradgen.search.exact.reductions import parts, reduce
from gradgen.search.exact.remainder import Remainder, members
from gradgen.search.exact.separators import vertex_bound
from gradgen.search.exact.subset_search import search_subsets

_PIECE = 8
"""The size of the blocks that help with a larger one."""

SMALL = 12
"""Parts of so many vertices are solved in plain Python."""


@dataclass(frozen=True)
class Bound:
    """No vertex order costs less than `value`."""

    value: int
    found_by: str
    first: tuple[int, ...]
    """Vertices that some optimal order begins with."""
    partition: tuple[tuple[int, ...], ...]
    """The other intermediates in blocks; the bound is what `first` and the blocks cost."""


def lower_bound(graph: LinearGraph, objective: ProductObjective, budget: float) -> Bound:
    """The best bound that is found within `budget` seconds.

    Small graphs are solved whatever the budget, and their bound is the optimum.
    """
    clock = Deadline(budget)
    state = Remainder(graph, objective)
    first, value = reduce(state)
    blocks: list[tuple[int, ...]] = []
    for part in parts(state):
        if part.bit_count() <= SMALL:
            found: tuple[tuple[int, ...], ...] = (tuple(members(part)),)
            value += search_subsets(state, part)[1]
        else:
            found, bound = _partition(state, part, clock)
            value += bound
        blocks += found
    return Bound(value, describe(blocks), tuple(first), tuple(blocks))


def reference_bound(graph: LinearGraph, objective: ProductObjective, bound: Bound) -> int:
    """What a bound's partition proves, computed again in plain Python; takes minutes for large
    blocks.

    Raises ValueError if vertices are missing or doubled, or the first ones may not come first.
    """
    state = Remainder(graph, objective)
    named = [*bound.first, *(v for block in bound.partition for v in block)]
    if sorted(named) != list(members(state.remaining)):
        raise ValueError("not a partition of the intermediates")
    first, value = reduce(state)
    if tuple(first) != bound.first:
        raise ValueError("the first vertices are not those of the reductions")
    return value + partition_bound(state, bound.partition)


def partition_bound(state: Remainder, blocks: Iterable[Sequence[int]]) -> int:
    """What a partition of the remaining vertices proves, in plain Python.

    A block that is a whole part costs what its cheapest order does.
    """
    value = 0
    whole = set(parts(state))
    for block in blocks:
        vertices = sum(1 << v for v in block)
        if len(block) == 1:
            value += vertex_bound(state, block[0])
        elif vertices in whole and len(block) <= SMALL:
            value += search_subsets(state, vertices)[1]
        else:
            value += block_bound(state, vertices)
    return value


def block_bound(state: Remainder, block: int) -> int:
    """The least that eliminating the vertices of a set costs, whatever the order of all others.

    A* over the subsets of the block; what is still to pay is bounded by smaller blocks in it.
    """
    vertices = list(members(block))
    pieces = [
        sum(1 << v for v in vertices[k : k + _PIECE]) for k in range(0, len(vertices), _PIECE)
    ]
    tables = {piece: _to_pay(state, piece) for piece in pieces}
    best = {0: 0}
    closed: set[int] = set()
    queue = [(sum(table[0] for table in tables.values()), 0, 0, state)]
    while True:
        total, size, eliminated, current = heappop(queue)
        if eliminated == block:
            return total
        if eliminated in closed:
            continue
        closed.add(eliminated)
        left = block & ~eliminated
        for vertex in members(left):
            after = eliminated | 1 << vertex
            paid = best[eliminated] + vertex_bound(current, vertex, left)
            if after not in closed and paid < best.get(after, paid + 1):
                best[after] = paid
                estimate = paid + sum(table[after & piece] for piece, table in tables.items())
                following = current.copy()
                following.eliminate(vertex)
                heappush(queue, (estimate, size - 1, after, following))


def _to_pay(state: Remainder, block: int) -> dict[int, int]:
    """For each subset of a block that is eliminated, the least that the rest of the block costs."""
    to_pay = {block: 0}

    def rest(eliminated: int, current: Remainder) -> int:
        left = block & ~eliminated
        options = []
        for vertex in members(left):
            after = eliminated | 1 << vertex
            if after not in to_pay:
                following = current.copy()
                following.eliminate(vertex)
                to_pay[after] = rest(after, following)
            options.append(vertex_bound(current, vertex, left) + to_pay[after])
        return min(options)

    to_pay[0] = rest(0, state)
    return to_pay


def _partition(
    state: Remainder, part: int, clock: Deadline
) -> tuple[tuple[tuple[int, ...], ...], int]:
    """A partition of a part into blocks that gives a high bound, and the bound."""
    with clock.paused():
        from gradgen.search.exact.arrays import arrays_of
        from gradgen.search.exact.partitions import STAGES, BlockValues, improve, singles

    arrays = arrays_of(state, part)
    values = BlockValues(arrays)
    blocks = singles(arrays)
    for stage in STAGES:
        blocks = improve(values, blocks, stage, clock.passed)
    return arrays.named_blocks(blocks), values.total(blocks)


def describe(blocks: Iterable[Sequence[int]]) -> str:
    """How a bound was found, from its blocks."""
    largest = max(map(len, blocks), default=0)
    if largest == 0:
        return "reductions"
    return "separators" if largest == 1 else f"blocks of up to {largest} vertices"
