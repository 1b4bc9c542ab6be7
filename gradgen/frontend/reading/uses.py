"""The uses of arguments: what an interpreter notes, and what it knows of values meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import libcst as cst

from gradgen.ir.source import Position

AccessKind = Literal["item", "key", "field"]
UseKind = Literal["read", "number", "static", "unpacked", "spread", "open"]


@dataclass(frozen=True)
class Access:
    """From a container to a part of it: `[0]`, `["tau"]` or `.v`."""

    kind: AccessKind
    name: str | int

    def pretty(self) -> str:
        """As written in Python."""
        return f".{self.name}" if self.kind == "field" else f"[{self.name!r}]"


@dataclass(frozen=True)
class Place:
    """An argument, or a part of one."""

    argument: str
    steps: tuple[Access, ...] = ()

    def part(self, kind: AccessKind, name: str | int) -> Place:
        """A part of what is here."""
        return replace(self, steps=(*self.steps, Access(kind, name)))

    def pretty(self) -> str:
        """As written in Python: `state["lif"].v`."""
        return self.argument + "".join(step.pretty() for step in self.steps)


@dataclass(frozen=True)
class Use:
    """One use of an argument or of a part of it.

    `read`: reached, no more. `number`: an operand of arithmetic. `static`: called, or compared with
    a string. `unpacked`: into `count` names. `spread`: with two stars, into a dict whose parts are
    followed. `open`: as a container, in a way that does not tell
    its structure; `how` says which, to follow "it is".
    """

    place: Place
    kind: UseKind
    position: Position
    count: int = 0
    how: str = ""


@dataclass(frozen=True, eq=False)
class Closure:
    """A function of the file, with the names around it as they stand when it is called."""

    node: cst.FunctionDef | cst.Lambda
    names: Names


@dataclass(frozen=True)
class Value:
    """What is known of a value: the places it may come from, and what is plain to see of it.

    A dict comes from the places that are spread into it.
    """

    places: frozenset[Place] = frozenset()
    parts: tuple[Value, ...] | None = None
    entries: Entries | None = None
    """Of a dict as it is written, its keys and values; without a key what is spread into it."""
    constant: int | str | None = None
    function: Closure | None = None

    def join(self, other: Value) -> Value:
        """What is known of a value that is one of the two."""
        if self == other:
            return self
        parts = None
        if self.parts and other.parts and len(self.parts) == len(other.parts):
            parts = tuple(a.join(b) for a, b in zip(self.parts, other.parts, strict=True))
        return Value(self.places | other.places, parts)


Names = dict[str, Value]
Entries = tuple[tuple[str | None, Value], ...]
UNKNOWN = Value()


def located(place: Place) -> Value:
    """The value at a place."""
    return Value(frozenset({place}))
