"""What is read from a Python source file before anything is executed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from gradgen.ir.pytree import Structure


def normalised(text: str) -> str:
    """A text without byte order mark, its line ends newlines."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def digest_of_text(text: str) -> str:
    """The sha256 of a normalised text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, order=True)
class Position:
    """A span of source text; lines count from 1, columns from 0, as in `ast` and in tracebacks."""

    line: int
    column: int
    end_line: int
    end_column: int

    def contains(self, other: Position) -> bool:
        """Whether `other` lies within this span."""
        return (self.line, self.column) <= (other.line, other.column) and (
            other.end_line,
            other.end_column,
        ) <= (self.end_line, self.end_column)


@dataclass(frozen=True)
class Parameter:
    """One parameter of the target function, as written."""

    name: str
    kind: Literal["positional", "keyword"]
    annotation: str | None
    default: str | None
    """The source text of the default value, None where there is none."""
    position: Position

    @property
    def has_default(self) -> bool:
        """Whether a call may leave this argument out."""
        return self.default is not None


@dataclass(frozen=True)
class Assignment:
    """A name bound to the value of an expression: where the user's names for values come from."""

    name: str
    value: Position


@dataclass(frozen=True)
class Directive:
    """A comment `# gradgen: KIND TEXT`."""

    kind: Literal["wrt", "static", "range", "example", "next"]
    text: str
    position: Position


@dataclass(frozen=True)
class Container:
    """A NamedTuple or dataclass defined in the source file, carried into the generated file."""

    name: str
    kind: Literal["namedtuple", "dataclass"]
    fields: tuple[str, ...]
    text: str
    """The class statement with its decorators, dedented, as written."""


@dataclass(frozen=True)
class Source:
    """A source file and its target function, read but not executed."""

    path: str
    """As the user gave it; `<stdin>` for standard input."""
    text: str
    digest: str
    """sha256 of the text (UTF-8, line ends normalised to newline), in hexadecimal."""
    function: str
    position: Position
    """Of the target's `def` line."""
    docstring: str | None
    parameters: tuple[Parameter, ...]
    assignments: tuple[Assignment, ...]
    """Every binding of a name to an expression inside any function of the file."""
    directives: tuple[Directive, ...]
    containers: tuple[Container, ...]
    structures: tuple[tuple[str, Structure], ...]
    """For parameters whose pytree is known from annotations, directives or use: its structure."""

    leaf_names: tuple[tuple[str, str], ...] = ()
    """What the target calls parts of its arguments, by dotted path: `v, i = state`."""

    def structure(self, parameter: str) -> Structure | None:
        """The structure of a parameter, None where the source does not tell."""
        return dict(self.structures).get(parameter)

    def check(self) -> None:
        """Raise ValueError if a structure or directive names something that is not a parameter."""
        names = {parameter.name for parameter in self.parameters}
        for name, structure in self.structures:
            if name not in names:
                raise ValueError(f"structure for {name!r}, which is not a parameter")
            structure.check()

    def pretty(self) -> str:
        """A listing for people: signature, structures, directives."""
        lines = [f"{self.path}:{self.position.line}: {self.function}"]
        for parameter in self.parameters:
            structure = self.structure(parameter.name)
            shown = "float" if structure is None else structure.pretty()
            default = "" if parameter.default is None else f" = {parameter.default}"
            lines.append(f"  {parameter.name}: {shown}{default}")
        lines += [f"  # gradgen: {d.kind} {d.text}" for d in self.directives]
        lines += [f"  {c.kind} {c.name}({', '.join(c.fields)})" for c in self.containers]
        return "\n".join(lines)
