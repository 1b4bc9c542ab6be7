"""What the results of a program are: its keys."""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import ClassVar

from gradgen.ir.code import Var


@dataclass(frozen=True)
class Result:
    """What a result is; shown as its kind and what it is of, with colons between."""

    kind: ClassVar[str]

    def __str__(self) -> str:
        """`d:out:v`."""
        return ":".join((self.kind, *astuple(self)))


@dataclass(frozen=True)
class OutputValue(Result):
    """The value of an output of the source."""

    kind = "out"
    output: str
    """Its path."""


@dataclass(frozen=True)
class Entry(Result):
    """The derivative of an output by an input, an entry of the Jacobian."""

    kind = "d"
    output: str
    input: str


@dataclass(frozen=True)
class EntryTerm(Result):
    """A term of the derivative of an output by an input, where both are arrays."""

    kind = "d"
    output: str
    input: str
    number: str
    """Among the terms of its entry."""


@dataclass(frozen=True)
class EntrySoFar(Result):
    """The derivative of an output by an input in this step and in all before."""

    kind = "e"
    output: str
    input: str


@dataclass(frozen=True)
class Cotangent(Result):
    """The cotangent of an input."""

    kind = "ct"
    input: str


@dataclass(frozen=True)
class Tangent(Result):
    """The tangent of an output."""

    kind = "t"
    output: str


@dataclass(frozen=True)
class Kept(Result):
    """A variable that is handed on."""

    kind = "kept"
    variable: Var


@dataclass(frozen=True)
class HeldValue(Result):
    """An array that a step hands to the next, or to errors."""

    kind = "held"
    name: str
