"""Steps that lose nothing: vertices to eliminate at once, and parts to solve one by one.

Each rule is proved in docs/research/bounds.md, for both objectives.
"""

from __future__ import annotations

from collections.abc import Callable

from gradgen.search.exact.remainder import (
    CONSTANT,
    MASK,
    UNIT,
    VARIABLE,
    Neighbours,
    Remainder,
    members,
    union,
)
from gradgen.search.exact.separators import Side, side_into, side_out, vertex_bound


def reduce(state: Remainder, within: int | None = None) -> tuple[list[int], int]:
    """Eliminate from a graph what loses nothing; returns the vertices in order and their cost.

    Only vertices in the set `within` are eliminated, if it is given.
    """
    steps: list[int] = []
    cost = 0
    candidates = state.remaining if within is None else state.remaining & within
    while candidates:
        vertex = candidates.bit_length() - 1
        candidates ^= 1 << vertex
        if not is_safe(state, vertex):
            continue
        touched = union(state.into[vertex]) | union(state.out[vertex])
        cost += state.eliminate(vertex)
        steps.append(vertex)
        for neighbour in members(touched & state.remaining):
            touched |= union(state.into[neighbour]) | union(state.out[neighbour])
        candidates |= touched & state.remaining & (-1 if within is None else within)
    return steps, cost


def is_safe(state: Remainder, vertex: int) -> bool:
    """Whether some optimal order of the graph begins with this vertex, by one of the rules."""
    if not (union(state.into[vertex]) | union(state.out[vertex])) & state.remaining:
        return True
    return _merges_back(state, vertex) or _merges_on(state, vertex) or _adds_nothing(state, vertex)


def _merges_back(state: Remainder, vertex: int) -> bool:
    """The rule of the single predecessor."""
    return _merges(state, vertex, state.into, state.out, state.independents, side_into, side_out)


def _merges_on(state: Remainder, vertex: int) -> bool:
    """The rule of the single successor."""
    return _merges(state, vertex, state.out, state.into, state.dependents, side_out, side_into)


def _merges(
    state: Remainder,
    vertex: int,
    near: list[Neighbours],
    far: list[Neighbours],
    ends: int,
    near_side: Callable[[Remainder, int], Side],
    far_side: Callable[[Remainder, int], Side],
) -> bool:
    """The rule of the single neighbour on the near side, where the graph has these ends."""
    neighbour = union(near[vertex])
    if neighbour & (neighbour - 1):
        return False
    kind = _kind(near[vertex], neighbour)
    if not _takes_over(state, far, vertex, neighbour, kind, ends):
        return False
    if kind in (UNIT, MASK):
        return True
    beyond = [far_side(state, vertex)]
    if not neighbour & ends:
        beyond.append(near_side(state, neighbour.bit_length() - 1))
    return state.cost(vertex) <= min(s.paid if kind == VARIABLE else s.variable for s in beyond)


_KEPT = {
    UNIT: (UNIT, MASK, CONSTANT, VARIABLE),
    MASK: (MASK, VARIABLE),
    CONSTANT: (CONSTANT, VARIABLE),
    VARIABLE: (VARIABLE,),
}
"""For each kind of factor, the kinds of partials that cost no more when multiplied with it."""


def _takes_over(
    state: Remainder,
    adjacent: list[Neighbours],
    vertex: int,
    neighbour: int,
    kind: int,
    ends: int,
) -> bool:
    """Whether a neighbour can take over what lies beyond the vertex and no edge costs more.

    The neighbour is given as a set of one, `kind` is that of the edge between, and `adjacent` leads
    beyond the vertex.
    """
    other = neighbour.bit_length() - 1
    stays = neighbour & ends
    alone = union(adjacent[other]) == 1 << vertex
    if not stays and not alone:
        return False
    # edges between an independent and a dependent are in no further product
    counted = state.remaining if stays else -1
    beyond = [kept & counted for kept in adjacent[vertex]]
    if any(beyond[k] for k in range(4) if k not in _KEPT[kind]):
        return False
    if alone or not beyond[UNIT] | beyond[MASK] | beyond[CONSTANT]:
        return True
    reached = _closure(adjacent, vertex, 0) & _closure(adjacent, other, 1 << vertex)
    return not reached & state.remaining


def _closure(adjacent: list[Neighbours], start: int, closed: int) -> int:
    """The vertices that paths from a vertex reach without passing through `closed`."""
    reached, waiting = 0, 1 << start
    while waiting:
        low = waiting & -waiting
        new = union(adjacent[low.bit_length() - 1]) & ~reached & ~closed
        reached |= new
        waiting = (waiting ^ low) | new
    return reached


def _adds_nothing(state: Remainder, vertex: int) -> bool:
    """The rule of the vertex without fill-in: all edges that it would make are there, variable."""
    ahead = union(state.out[vertex])
    if any(ahead & ~state.out[source][VARIABLE] for source in members(union(state.into[vertex]))):
        return False
    return state.cost(vertex) <= vertex_bound(state, vertex)


def parts(state: Remainder) -> list[int]:
    """The sets of remaining intermediates that edges connect; the fewest vertices first.

    What an elimination costs depends on eliminations within its own part alone.
    """
    found = []
    left = state.remaining
    while left:
        part = part_of(state, left & -left)
        left &= ~part
        found.append(part)
    return sorted(found, key=lambda part: (part.bit_count(), part))


def part_of(state: Remainder, start: int) -> int:
    """The part that holds a vertex, which is given as a set of one."""
    part, waiting = 0, start
    while waiting:
        low = waiting & -waiting
        part |= low
        vertex = low.bit_length() - 1
        reached = (union(state.into[vertex]) | union(state.out[vertex])) & state.remaining
        waiting = (waiting | reached) & ~part
    return part


def has_earlier_twin(state: Remainder, vertex: int, among: int) -> bool:
    """Whether a vertex of a set with a lower number has the same edges, of the same kinds."""
    into, out = state.into[vertex], state.out[vertex]
    twins = among & ((1 << vertex) - 1)
    for side, adjacent in ((into, state.out), (out, state.into)):
        for kind, neighbours in enumerate(side):
            for neighbour in members(neighbours):
                twins &= adjacent[neighbour][kind]
                if not twins:
                    return False
    return any(state.into[t] == into and state.out[t] == out for t in members(twins))


def _kind(neighbours: Neighbours, bit: int) -> int:
    return next(kind for kind in range(4) if neighbours[kind] & bit)
