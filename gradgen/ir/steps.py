"""How an order names what it eliminates: a vertex or an edge.

Every name is made of stable names of vertices, so a stored order survives a renumbering.

- A vertex step is the vertex's name.
- An edge step is `front a>b` or `back a>b`: the edge from a to b is eliminated at its target or at
  its source. There is at most one edge between two vertices at any time, so its ends name it. The
  same edge may come again as fill-in after it was eliminated, and then its step too.

In edge steps the characters `%`, `>` and space of a vertex's name are written `%25`, `%3E` and
`%20`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

Direction = Literal["front", "back"]
"""Where an edge is eliminated: at its target or at its source."""


class EdgeStep(NamedTuple):
    """The front or back elimination of an edge."""

    direction: Direction
    source: str
    target: str

    def __str__(self) -> str:
        return f"{self.direction} {_join((self.source, self.target))}"


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


def _join(names: Sequence[str]) -> str:
    return ">".join(
        name.replace("%", "%25").replace(">", "%3E").replace(" ", "%20") for name in names
    )


def _split(text: str) -> tuple[str, ...]:
    return tuple(
        name.replace("%20", " ").replace("%3E", ">").replace("%25", "%") for name in text.split(">")
    )
