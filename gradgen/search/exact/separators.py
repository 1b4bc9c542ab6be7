"""How many neighbours a vertex has at least when it is eliminated, by Menger's theorem.

The proofs are in docs/research/bounds.md. This is the plain reference; compiled search has its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from gradgen.search.exact.remainder import (
    CONSTANT,
    MASK,
    UNIT,
    Neighbours,
    Remainder,
    members,
    union,
)


@dataclass(frozen=True)
class Side:
    """Lower bounds for one side of a vertex, its predecessors or its successors."""

    paid: int
    """Edges that are neither units nor masks."""
    variable: int
    """Edges that are variable; at most `paid`."""


def product_bound(into: Side, out: Side) -> int:
    """The least that a vertex with such sides costs: one of each paid pair is variable."""
    return into.variable * out.paid + (into.paid - into.variable) * out.variable


def vertex_bound(state: Remainder, vertex: int, later: int = 0) -> int:
    """The least that eliminating a vertex costs, whatever else is eliminated before it.

    `later` is a set of intermediates that are eliminated after it for certain.
    """
    return product_bound(side_into(state, vertex, later), side_out(state, vertex, later))


def side_into(state: Remainder, vertex: int, later: int = 0) -> Side:
    """Bounds on the edges into a vertex at its elimination."""
    return _side(state.into, vertex, state.independents, later)


def side_out(state: Remainder, vertex: int, later: int = 0) -> Side:
    """Bounds on the edges out of a vertex at its elimination."""
    return _side(state.out, vertex, state.dependents, later)


def _side(adjacent: list[Neighbours], vertex: int, ends: int, later: int) -> Side:
    later &= ~(1 << vertex)
    trivial = _reached(adjacent, vertex, (UNIT, MASK), later)
    known = _reached(adjacent, vertex, (UNIT, CONSTANT), later)
    paid = disjoint_paths(adjacent, vertex, ends | later, trivial)
    if not known & ~trivial:
        return Side(paid, paid)
    return Side(paid, disjoint_paths(adjacent, vertex, ends | later, trivial | known))


def _reached(adjacent: list[Neighbours], vertex: int, kinds: tuple[int, int], later: int) -> int:
    """The vertices on paths of these kinds from a vertex, none of which leads through `later`."""
    reached = 0
    waiting = 1 << vertex
    while waiting:
        low = waiting & -waiting
        neighbours = adjacent[low.bit_length() - 1]
        new = (neighbours[kinds[0]] | neighbours[kinds[1]]) & ~reached
        reached |= new
        waiting = (waiting ^ low) | (new & ~later)
    return reached


def disjoint_paths(adjacent: list[Neighbours], start: int, ends: int, closed: int) -> int:
    """The largest number of paths from a vertex to `ends` that share no vertex but the first.

    `adjacent` holds the neighbours of each vertex in the direction of the paths; none leads through
    `closed`. By Menger's theorem it is the least number of vertices that cut all such paths, those
    in `ends` included (Ford and Fulkerson's augmenting paths, each vertex with capacity one).
    """
    towards: dict[int, int] = {}
    """For each vertex on a path found so far, the one before it."""
    count = 0
    while _augment(adjacent, start, ends, closed, towards):
        count += 1
    return count


def _augment(
    adjacent: list[Neighbours], start: int, ends: int, closed: int, towards: dict[int, int]
) -> bool:
    """Find one more path, perhaps along paths found before, which it then changes."""
    # a state is a vertex, and whether we are behind it (may go on) or in front of it
    came: dict[tuple[int, bool], tuple[int, bool]] = {}
    waiting = [(start, True)]
    while waiting:
        state = waiting.pop()
        vertex, behind = state
        following: list[tuple[int, bool]] = []
        if behind:
            for other in members(union(adjacent[vertex]) & ~closed):
                if towards.get(other) != vertex:
                    following.append((other, False))
            if vertex in towards:
                following.append((vertex, False))
        elif vertex not in towards:
            following.append((vertex, True))
        elif towards[vertex] != start:
            following.append((towards[vertex], True))
        for new in following:
            if new in came:
                continue
            came[new] = state
            if new[1] and ends >> new[0] & 1 and new[0] not in towards:
                _apply(came, new, start, towards)
                return True
            waiting.append(new)
    return False


def _apply(
    came: dict[tuple[int, bool], tuple[int, bool]],
    last: tuple[int, bool],
    start: int,
    towards: dict[int, int],
) -> None:
    steps = []
    state = last
    while state != (start, True):
        steps.append((came[state], state))
        state = came[state]
    for (vertex, behind), (other, _) in steps:
        if behind and vertex == other:
            del towards[vertex]
    for (vertex, behind), (other, _) in steps:
        if behind and vertex != other:
            towards[other] = vertex
