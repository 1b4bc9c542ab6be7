"""Which vertices of a graph can be reached from which."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import TypeVar

Node = TypeVar("Node", bound=Hashable)


def between(
    edges: Collection[tuple[Node, Node]], sources: Iterable[Node], targets: Iterable[Node]
) -> set[Node]:
    """The vertices on paths from sources to targets."""
    below = reach(sources, neighbours(edges))
    above = reach(targets, neighbours((t, s) for s, t in edges))
    return below & above


def neighbours(pairs: Iterable[tuple[Node, Node]]) -> dict[Node, list[Node]]:
    """For each first of the pairs, its seconds."""
    found: dict[Node, list[Node]] = {}
    for one, other in pairs:
        found.setdefault(one, []).append(other)
    return found


def reach(start: Iterable[Node], neighbours: Mapping[Node, list[Node]]) -> set[Node]:
    """The vertices that can be reached, the first ones included."""
    reached = set(start)
    waiting = list(reached)
    while waiting:
        for vertex in neighbours.get(waiting.pop(), ()):
            if vertex not in reached:
                reached.add(vertex)
                waiting.append(vertex)
    return reached
