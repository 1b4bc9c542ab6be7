"""The notation of the example directive: `state=(v, i, n:int) params={tau, w: [a, b]}`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeVar

from gradgen.errors import GradgenError
from gradgen.ir.pytree import LeafKind, Structure, leaf, mapping, sequence

T = TypeVar("T")

FORM = "# gradgen: example state=(v, i) n=int params={tau, beta} cell=LIFState(v, i)"
_TOKEN = re.compile(r"[^\W\d]\w*|'[^']*'|\"[^\"]*\"|\S")
_TYPES: Mapping[str, LeafKind] = {
    "float": "float",
    "int": "int",
    "bool": "bool",
    "static": "static",
    "none": "none",
}


def parse_structure(text: str, records: Mapping[str, Structure] | None = None) -> Structure:
    """The structure that a value in the notation stands for.

    A name is a float; `name:int` says otherwise. `(v, i)` is a tuple, `[v, i]` a list,
    `{tau, beta}` a dict with these keys and `LIFState(v, i)` an instance of a class, which must be
    among `records`; a bare field there is what its class says. A bare `float`, `int`, `bool`,
    `static` or `none` is a value of that kind. Raises GradgenError for anything else.
    """
    reader = _Reader(text.strip(), _TOKEN.findall(text), records or {})
    structure = reader.value()
    if (rest := reader.peek()) is not None:
        raise reader.error(f"{rest!r} is not expected after the structure")
    return structure


@dataclass
class _Reader:
    """A recursive-descent parser: each method consumes the tokens of what it returns."""

    text: str
    tokens: list[str]
    records: Mapping[str, Structure]
    at: int = 0

    def peek(self, ahead: int = 0) -> str | None:
        index = self.at + ahead
        return self.tokens[index] if index < len(self.tokens) else None

    def take(self) -> str:
        token = self.peek()
        if token is None:
            raise self.error("it ends too early")
        self.at += 1
        return token

    def error(self, message: str, hint: str | None = None) -> GradgenError:
        return GradgenError(
            f"malformed example structure {self.text!r}: {message}",
            hint=hint or f"write it like: {FORM}",
        )

    def value(self) -> Structure:
        """A container, or the name of a kind of leaf or of a class."""
        match self.take():
            case "(":
                return self.sequence()
            case "[":
                return sequence("list", self.parts("]", self.element))
            case "{":
                entries = self.entries("}")
                return mapping(tuple((key, value or leaf()) for key, value in entries.items()))
            case word if word in _TYPES:
                return leaf(_TYPES[word])
            case word if word in self.records:
                return self.record(self.records[word])
            case word:
                raise self.unknown(word)

    def parts(self, closing: str, parse: Callable[[], T]) -> tuple[T, ...]:
        """Comma-separated parts and the bracket that closes them."""
        found: list[T] = []
        while self.peek() != closing:
            found.append(parse())
            if self.peek() != closing and (token := self.take()) != ",":
                raise self.error(f"{token!r} where a comma or {closing!r} is expected")
        self.at += 1
        return tuple(found)

    def sequence(self) -> Structure:
        children = self.parts(")", self.element)
        if len(children) == 1 and self.tokens[self.at - 2] != ",":
            raise self.error("a tuple of one needs a comma, as in (v,)")
        return sequence("tuple", children)

    def element(self) -> Structure:
        """A part of a tuple or list: a value, or a name that is only there for people to read."""
        word = self.peek() or ""
        if not word.isidentifier() or word in _TYPES or word in self.records:
            return self.value()
        if self.peek(1) == "(":
            raise self.unknown(word)
        self.at += 1
        return self.typed() or leaf()

    def typed(self) -> Structure | None:
        """What follows a name: `:int`, `=(a, b)`, or nothing."""
        if self.peek() not in (":", "="):
            return None
        self.at += 1
        return self.value()

    def entry(self) -> tuple[str, Structure | None]:
        token = self.take()
        if not (token.isidentifier() or token[0] in "'\""):
            raise self.error(f"{token!r} where a name is expected")
        return token.strip("'\""), self.typed()

    def entries(self, closing: str) -> dict[str, Structure | None]:
        found = self.parts(closing, self.entry)
        if len(dict(found)) < len(found):
            raise self.error("the same name twice in one container")
        return dict(found)

    def record(self, default: Structure) -> Structure:
        """`LIFState`, or `LIFState(v, n:int)` with all of its fields in order."""
        if self.peek() != "(":
            return default
        self.at += 1
        entries = self.entries(")")
        if tuple(entries) != default.keys:
            raise self.error(
                f"the fields of {default.type_name} are {', '.join(default.keys)}",
                f"name all of them, in this order: {default.type_name}({', '.join(default.keys)})",
            )
        children = tuple(
            entries[key] or child for key, child in zip(default.keys, default.children, strict=True)
        )
        return Structure(default.kind, default.keys, children, default.type_name)

    def unknown(self, word: str) -> GradgenError:
        close = get_close_matches(word, [*_TYPES, *self.records], n=1)
        hint = f"did you mean {close[0]!r}?" if close else None
        if self.peek() == "(":
            return self.error(f"{word!r} is not a NamedTuple or dataclass of this file", hint)
        return self.error(f"{word!r} is neither a structure nor float, int, bool or static", hint)
