"""Vertices in layers, for pictures where Graphviz is not installed.

The usual three steps (Sugiyama, Tagawa and Toda 1981): layers by the longest path, fewer crossings
by barycentres, and places within the layers near those of the neighbours.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

_SWEEPS = 24
_GAP = 16.0
_BEND = 8.0
"""How much room an edge takes where it passes a layer."""
_STEP = 52.0
"""From one layer to the next."""


@dataclass(frozen=True)
class Placed:
    """The middle of every vertex, and for every edge the points between its ends."""

    positions: tuple[tuple[float, float], ...]
    bends: tuple[tuple[tuple[float, float], ...], ...]


def place_in_layers(
    widths: Sequence[float],
    edges: Sequence[tuple[int, int]],
    top: Collection[int],
    bottom: Collection[int],
) -> Placed:
    """Place vertices that are numbered topologically; `top` and `bottom` are layers of their own.

    Where an edge spans layers it passes each of those between at a point of its own.
    """
    layer = _layers(len(widths), edges, top, bottom)
    room, level, paths = list(widths), list(layer), []
    for source, target in edges:
        between = range(layer[source] + 1, layer[target])
        first = len(room)
        room += [_BEND] * len(between)
        level += between
        paths.append((source, *range(first, len(room)), target))
    rows: list[list[int]] = [[] for _ in range(max(level) + 1)]
    for node, number in enumerate(level):
        rows[number].append(node)
    above: list[list[int]] = [[] for _ in room]
    below: list[list[int]] = [[] for _ in room]
    for path in paths:
        for upper, lower in pairwise(path):
            above[lower].append(upper)
            below[upper].append(lower)
    x = [0.0] * len(room)
    for row in rows:
        _spread(row, room, x)
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        near = above if downwards else below
        for row in rows if downwards else reversed(rows):
            _pull(row, near, room, x)
    left = min(x[node] - room[node] / 2 for node in range(len(room)))
    places = [(x[node] - left, _STEP * level[node]) for node in range(len(room))]
    return Placed(
        tuple(places[: len(widths)]),
        tuple(tuple(places[node] for node in path[1:-1]) for path in paths),
    )


def _layers(
    count: int, edges: Sequence[tuple[int, int]], top: Collection[int], bottom: Collection[int]
) -> list[int]:
    layer = [0 if v in top else 1 for v in range(count)]
    for source, target in sorted(edges):
        layer[target] = max(layer[target], layer[source] + 1)
    last = max(layer)
    return [last if v in bottom else number for v, number in enumerate(layer)]


def _spread(row: Sequence[int], room: Sequence[float], x: list[float]) -> None:
    """The row side by side, its middle at 0."""
    place = -(sum(room[node] for node in row) + _GAP * (len(row) - 1)) / 2
    for node in row:
        x[node] = place + room[node] / 2
        place += room[node] + _GAP


def _pull(
    row: list[int], near: Sequence[Sequence[int]], room: Sequence[float], x: list[float]
) -> None:
    """Sort a row by its neighbours' middles and move it there, as far as there is room."""
    wanted = {
        node: sum(x[other] for other in near[node]) / len(near[node]) if near[node] else x[node]
        for node in row
    }
    row.sort(key=lambda node: (wanted[node], node))
    # groups of nodes that stand side by side, each at the mean of what its nodes want
    groups: list[list[int]] = []
    for node in row:
        groups.append([node])
        while len(groups) > 1 and _start(groups[-1], wanted, room) < _end(groups[-2], wanted, room):
            last = groups.pop()
            groups[-1] += last
    for group in groups:
        place = _start(group, wanted, room)
        for node in group:
            x[node] = place + room[node] / 2
            place += room[node] + _GAP


def _start(group: Sequence[int], wanted: dict[int, float], room: Sequence[float]) -> float:
    """Where a group begins so that its nodes are, on average, where they want to be."""
    offset = total = 0.0
    for node in group:
        total += wanted[node] - (offset + room[node] / 2)
        offset += room[node] + _GAP
    return total / len(group)


def _end(group: Sequence[int], wanted: dict[int, float], room: Sequence[float]) -> float:
    return _start(group, wanted, room) + sum(room[node] + _GAP for node in group)
