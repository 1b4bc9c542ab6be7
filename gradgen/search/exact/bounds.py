"""Lower bounds on what any vertex order costs, by separators and by blocks of vertices.

The theorems and their proofs are in docs/research/bounds.md. All is in plain Python; good
partitions into blocks are found by compiled search, and what they are worth is computed again here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

from gradgen.ir.graph import LinearGraph
from gradgen.ir.plan import ProductObjective
from gradgen.search.exact.reductions import parts, reduce
from gradgen.search.exact.remainder import Remainder, members
from gradgen.search.exact.separators import vertex_bound
from gradgen.search.exact.subset_search import search_subsets

_PIECE = 8
"""The size of the blocks that help with a larger one."""

SMALL = 12
"""Parts of so many vertices are solved in plain Python."""


@dataclass(frozen=True)
class LowerBound:
    """No vertex order costs less than `value`."""

    value: int
    found_by: str


def lower_bound(graph: LinearGraph, objective: ProductObjective) -> LowerBound:
    """The bound that is there at once: small parts are solved, larger ones have their separators.

    That of a graph of small parts is the optimum.
    """
    state = Remainder(graph, objective)
    _, value = reduce(state)
    blocks: list[list[int]] = []
    for part in parts(state):
        vertices = list(members(part))
        blocks += [vertices] if len(vertices) <= SMALL else [[v] for v in vertices]
    return LowerBound(value + partition_bound(state, blocks), describe(blocks))


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


def describe(blocks: Iterable[Sequence[int]]) -> str:
    """How a bound was found, from its blocks."""
    largest = max(map(len, blocks), default=0)
    if largest == 0:
        return "reductions"
    return "separators" if largest == 1 else f"blocks of up to {largest} vertices"
