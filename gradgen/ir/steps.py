"""How an order names what it eliminates: a vertex, an edge, or a face.

Every name is made of stable names of vertices, so a stored order survives a renumbering.

- A vertex step is the vertex's name.
- An edge step is `front a>b` or `back a>b`: the edge from a to b is eliminated at its target or at
  its source. There is at most one edge between two vertices at any time, so its ends name it. The
  same edge may come again as fill-in after it was eliminated, and then its step too.
- A face step is `a>b b>c>d`: two adjacent edges, each named by the path that it contracted. Between
  the same two vertices there may be several edges. Their paths tell them apart: a path of the
  original graph is contracted by one edge at most, because two paths from an independent to a
  dependent that share a piece are contracted alike within it, as long as its ends are open in both.
  An edge that absorbed others contracted several paths; it goes by the shortest, and among these by
  the one whose names come first. Of a path with more than one vertex between its ends these are
  replaced by a hash of their names, `a>~1f5c0a9b2e>e`, or steps would be as long as the paths.

In edge and face steps the characters `%`, `>` and space of a vertex's name are written `%25`, `%3E`
and `%20`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

Direction = Literal["front", "back"]
"""Where an edge is eliminated: at its target or at its source."""

Path = tuple[str, ...]
"""Vertices by name, in the direction of the edges; abbreviated, two ends and what lies between."""


class EdgeStep(NamedTuple):
    """The front or back elimination of an edge."""

    direction: Direction
    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.direction} {_join((self.source, self.target))}"


class FaceStep(NamedTuple):
    """The elimination of a face: an edge into a vertex and an edge out of it.

    Both are named by their paths, abbreviated.
    """

    incoming: Path
    outgoing: Path

    def __str__(self) -> str:
        return f"{_join(self.incoming)} {_join(self.outgoing)}"


def abbreviate(path: Path) -> Path:
    """The path as steps name it; it stays as it is if one vertex or none lies between its ends."""
    if len(path) <= 3:
        return path
    digest = hashlib.sha256(_join(path[1:-1]).encode()).hexdigest()
    return path[0], f"~{digest[:10]}", path[-1]


def parse_edge_step(text: str) -> EdgeStep:
    """The step that a text names; raises ValueError if it names none."""
    direction, _, ends = text.partition(" ")
    names = _split(ends)
    if len(names) != 2:
        raise ValueError(f"{text!r} is no edge step: 'front a>b' or 'back a>b'")
    if direction == "front":
        return EdgeStep("front", *names)
    if direction == "back":
        return EdgeStep("back", *names)
    raise ValueError(f"{text!r} is no edge step: it starts with 'front' or 'back'")


def parse_face_step(text: str) -> FaceStep:
    """The step that a text names; raises ValueError if it names none."""
    paths = [_split(part) for part in text.split(" ")]
    if len(paths) != 2 or min(map(len, paths)) < 2 or paths[0][-1] != paths[1][0]:
        raise ValueError(f"{text!r} is no face step: two paths that meet, such as 'a>b b>c>d'")
    return FaceStep(*paths)


def _join(names: Sequence[str]) -> str:
    return ">".join(
        name.replace("%", "%25").replace(">", "%3E").replace(" ", "%20") for name in names
    )


def _split(text: str) -> Path:
    return tuple(
        name.replace("%20", " ").replace("%3E", ">").replace("%25", "%") for name in text.split(">")
    )
