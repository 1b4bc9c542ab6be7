"""A lower bound on what any elimination of vertices or edges costs.

Take vertex-disjoint paths from independents to an intermediate v, and others from v to dependents.
Each pair of them joins into a path of the graph, and for its contraction some product must pass
over v, from a predecessor on the one to a successor on the other. The paths are disjoint, so these
products are distinct. Hence v costs at least the product of both numbers, which maximum flows give
(Menger), and the sum over all v is a bound.

Under `muls` a product may be free. A value that contracted a path whose last edge is variable is
variable, since neither products nor sums make it less; one whose last edge is a constant is a
constant or variable. So with a variable ends among b paths on the one side and c among d on the
other, v takes at least a * d + (b - a) * c multiplications.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gradgen.ir.graph import LinearGraph, PartialKind

Kinds = Mapping[tuple[int, int], str]
"""Edges by source and target, with their kinds."""

_Node = tuple[int, int]
"""A vertex and its side: 0 where paths enter it, 1 where they leave it."""
_START: _Node = (-1, 0)
_GOAL: _Node = (-1, 1)

COSTLY: tuple[tuple[PartialKind, ...], ...] = (("variable",), ("variable", "constant"))
EVERY: tuple[tuple[PartialKind, ...], ...] = (("unit", "constant", "mask", "variable"),) * 2


def path_bound(graph: LinearGraph, objective: str) -> int:
    """What every order costs at least, of whatever kind, in `edges` or `muls`."""
    kinds = {(edge.source, edge.target): edge.kind for edge in graph.edges}
    return bound_of(kinds, graph.intermediates, graph.independents, graph.dependents, objective)


def bound_of(
    kinds: Kinds,
    intermediates: Iterable[int],
    independents: Iterable[int],
    dependents: Iterable[int],
    objective: str,
) -> int:
    """The bound for edges as they are when some steps are done."""
    into: dict[int, list[int]] = {}
    out: dict[int, list[int]] = {}
    for source, target in kinds:
        into.setdefault(target, []).append(source)
        out.setdefault(source, []).append(target)
    starts, ends = frozenset(independents), frozenset(dependents)
    choices = EVERY if objective == "edges" else COSTLY
    total = 0
    for v in intermediates:
        if v not in into:
            continue
        below = [[u for u in into[v] if kinds[u, v] in some] for some in choices]
        above = [[w for w in out[v] if kinds[v, w] in some] for some in choices]
        a, b = _disjoint(below, into, starts)
        c, d = _disjoint(above, out, ends)
        total += a * d + (b - a) * c
    return total


def _disjoint(
    doors: list[list[int]], onwards: Mapping[int, list[int]], goals: frozenset[int]
) -> list[int]:
    """How many vertex-disjoint paths lead from some doors to goals; then, from all doors given.

    The first paths stay when more are found, rerouted but through the same doors. So the difference
    is how many of the paths go through the doors that came second.
    """
    residual: dict[_Node, set[_Node]] = {_START: set()}
    for u in {*onwards, *goals}:
        residual[u, 0] = {(u, 1)}
        residual[u, 1] = {_GOAL} if u in goals else {(w, 0) for w in onwards[u]}
    residual[_GOAL] = set()
    counts = [0]
    for some in doors:
        residual[_START] |= {(door, 0) for door in some if _START not in residual[door, 0]}
        counts.append(counts[-1])
        while _augment(residual):
            counts[-1] += 1
    return counts[1:]


def _augment(residual: dict[_Node, set[_Node]]) -> bool:
    """Send one more unit of flow from start to goal, if that is possible (Ford and Fulkerson)."""
    came: dict[_Node, _Node] = {}
    waiting = [_START]
    while waiting and _GOAL not in came:
        node = waiting.pop()
        for further in sorted(residual[node]):
            if further not in came and further != _START:
                came[further] = node
                waiting.append(further)
    if _GOAL not in came:
        return False
    node = _GOAL
    while node != _START:
        before = came[node]
        residual[before].discard(node)
        residual[node].add(before)
        node = before
    return True
