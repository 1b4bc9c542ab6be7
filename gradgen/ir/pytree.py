"""The containers of arguments and results, as data."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

LeafKind = Literal["float", "int", "bool", "static", "none"]
NodeKind = Literal[
    "tuple",
    "list",
    "parts",
    "dict",
    "namedtuple",
    "dataclass",
    "object",
    "mapping",
    "rows",
    "columns",
]

Aspect = Literal["parts", "class", "order"]
"""What may not be otherwise than in a structure: that there is nothing else in a container, its
class, the order of its keys."""


@dataclass(frozen=True)
class Structure:
    """A leaf, or a container of structures. Leaves and nodes share one type: see `leaf` and `node`.

    A `static` leaf is bound when the code is generated; `none` is Python's None, which has no
    leaves in JAX's sense. `parts` are a tuple in whose place a list or an array may be passed. An
    `object` is an instance of any class with its attributes; others like it are copies of it. A
    `mapping` is one of another class than dict that JAX knows, as `flax.nnx.State`; JAX makes
    others like it. What is nested in it is of the same kind. `rows` are a single array in a result,
    which has its children along its first axis, `columns` one that has them along its last: see
    `Rows`.
    """

    kind: LeafKind | NodeKind
    keys: tuple[str, ...] = ()
    """Positions ("0", "1"), dict keys or field names, one per child.

    Those of a mapping are strings, or integers in digits.
    """
    children: tuple[Structure, ...] = ()
    type_name: str | None = None
    """The class of a namedtuple, a dataclass, an object or a mapping, by its name in the source."""
    hidden: tuple[str, ...] = ()
    """Of an object that JAX takes apart, the parts that it does not see."""
    closed: tuple[Aspect, ...] = ()
    """In what a dict, a tuple or a list that is passed may not differ, since the source makes
    something of it."""

    @property
    def is_array(self) -> bool:
        """Whether this is an array with its children along an axis."""
        return self.kind in ("rows", "columns")

    @property
    def is_leaf(self) -> bool:
        """Whether this is a single value."""
        return self.kind in ("float", "int", "bool", "static", "none")

    def leaves(self, path: str = "") -> Iterator[tuple[str, Structure]]:
        """Each leaf with its dotted path (`state.v`, `params.tau`, `state.0`), in JAX's order."""
        if self.is_leaf:
            yield path, self
            return
        for key, child in zip(self.keys, self.children, strict=True):
            yield from child.leaves(join(path, key))

    def check(self) -> None:
        """Raise ValueError if keys and children disagree."""
        if len(self.keys) != len(self.children):
            raise ValueError(f"{len(self.keys)} keys for {len(self.children)} children")
        if self.is_leaf and self.children:
            raise ValueError("a leaf has no children")
        if self.kind in ("namedtuple", "dataclass", "object", "mapping") and self.type_name is None:
            raise ValueError(f"a {self.kind} needs its class")
        for child in self.children:
            child.check()

    def pretty(self) -> str:
        """One line in the notation of the `example` directive."""
        if self.is_leaf:
            return self.kind
        shown = [child.pretty() for child in self.children]
        named = ", ".join(
            k if v == "float" else f"{k}:{v}" for k, v in zip(self.keys, shown, strict=True)
        )
        match self.kind:
            case "tuple" | "parts":
                return f"({', '.join(shown)}{',' if len(shown) == 1 else ''})"
            case "list":
                return f"[{', '.join(shown)}]"
            case "rows" | "columns":
                return f"array({', '.join(shown)})"
            case "dict":
                return "{" + named + "}"
            case _:
                return f"{self.type_name}({named})"


class Rows(tuple[Any, ...]):
    """The parts of an array that a step returns, while it is traced and verified.

    The array has one number of a neuron for each of several variables, along its first axis, and
    what follows are the axes of neurons.
    """

    axis = 0


class Columns(Rows):
    """Those of an array that has its variables along its last axis."""

    axis = -1


def with_parts(structure: Structure) -> Structure:
    """The structure, where an array may be passed in the place of each tuple."""
    kind = "parts" if structure.kind == "tuple" else structure.kind
    return replace(structure, kind=kind, children=tuple(map(with_parts, structure.children)))


def join(path: str, key: str) -> str:
    """The dotted path of a part; what would make it ambiguous in a dict's key is written `%2E`."""
    part = "".join(_written(c) for c in key) or "%"
    return f"{path}.{part}" if path else part


def _written(character: str) -> str:
    if character.isprintable() and character not in "%.:|":
        return character
    code = ord(character)
    return f"%{code:02X}" if code < 0x100 else f"%u{code:06X}"


def leaf(kind: LeafKind = "float") -> Structure:
    """A single value."""
    return Structure(kind)


def sequence(kind: Literal["tuple", "list", "parts"], children: tuple[Structure, ...]) -> Structure:
    """A tuple or a list, or what may be an array as well."""
    return Structure(kind, tuple(str(i) for i in range(len(children))), children)


def mapping(items: tuple[tuple[str, Structure], ...]) -> Structure:
    """A dict with string keys; JAX sorts them."""
    ordered = sorted(items)
    return Structure("dict", tuple(k for k, _ in ordered), tuple(v for _, v in ordered))


def record(
    kind: Literal["namedtuple", "dataclass", "object", "mapping"],
    type_name: str,
    items: tuple[tuple[str, Structure], ...],
) -> Structure:
    """A NamedTuple, a registered dataclass, an object or a mapping of another class than dict."""
    return Structure(kind, tuple(k for k, _ in items), tuple(v for _, v in items), type_name)


def hidden_paths(structure: Structure, path: str) -> Iterator[str]:
    """The paths of the leaves that JAX does not see."""
    for key, child in zip(structure.keys, structure.children, strict=True):
        if key in structure.hidden and child.is_leaf:
            yield join(path, key)
        else:
            yield from hidden_paths(child, join(path, key))
