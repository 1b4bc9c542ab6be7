"""What is read from a Python source file before anything is executed."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from gradgen.ir.pytree import Structure


def normalised(text: str) -> str:
    """A text without byte order mark, its line ends newlines."""
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def digest_of_text(text: str) -> str:
    """The sha256 of a normalised text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_file(path: str) -> bool:
    """Whether a source's path is that of a file, and neither `-` nor `<stdin>` or `<notebook>`."""
    return path != "-" and not (path.startswith("<") and path.endswith(">"))


def is_dotted(name: str) -> bool:
    """Whether this may name a function: `step`, or `LIF.step` for a method."""
    return all(part.isidentifier() for part in name.split("."))


@dataclass(frozen=True, order=True)
class Position:
    """A span of source text; lines count from 1, columns from 0, as in `ast` and in tracebacks."""

    line: int
    column: int
    end_line: int
    end_column: int

    def moved(self, lines: int) -> Position:
        """The span that many lines further down."""
        return Position(self.line + lines, self.column, self.end_line + lines, self.end_column)


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

    kind: Literal["wrt", "static", "range", "example", "next", "shape", "size", "dtype"]
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
class SourcePart:
    """Lines of a source that is put together from several texts."""

    path: str
    """Of the text that they come from, as code objects have it."""
    first: int
    """Where they begin there."""
    line: int
    """Where they begin in the source."""
    count: int


@dataclass(frozen=True)
class Source:
    """A source file and its target function, read but not executed."""

    path: str
    """As the user gave it; in angle brackets if it is no file (`is_file`)."""
    text: str
    digest: str
    """sha256 of the text (UTF-8, line ends normalised to newline), in hexadecimal."""
    function: str
    """As the module has it: `step`, or `LIF.step` for a method."""
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
    annotated: tuple[Directive, ...] = ()
    """What annotations say of the shapes of leaves, as directives would."""
    instance: str | None = None
    """The parameter that takes the instance, where the target is a method."""
    returned: bool = False
    """Whether the target is what the function of this name returns, as one function with that."""
    unread: frozenset[str] = frozenset()
    """Containers that the target takes and never reads: what they hold does not matter."""
    assigned: tuple[str, ...] = ()
    """What the target, a method, assigns to its instance, by dotted path: known once it has run.

    The next values are a dict by these, after the method's own result.
    """
    parts: tuple[SourcePart, ...] = ()
    """What the text is put together from; empty for a text that was executed as it is."""

    @property
    def name(self) -> str:
        """What generated functions are called: `LIF_step` for a method, `LIF_call` for a class."""
        owner, _, method = self.function.rpartition(".")
        return f"{owner}_{method.strip('_')}" if owner else self.function

    def structure(self, parameter: str) -> Structure | None:
        """The structure of a parameter, None where the source does not tell."""
        return dict(self.structures).get(parameter)

    @cached_property
    def files(self) -> frozenset[str]:
        """The paths that code objects of the source have."""
        return frozenset(part.path for part in self.parts) or frozenset({self.path})

    def line_of(self, path: str, line: int) -> int | None:
        """The line of the text for one of executed code; None if that is of something else."""
        if not self.parts:
            return line if path == self.path else None
        for part in self.parts:
            if path == part.path and 0 <= line - part.first < part.count:
                return line - part.first + part.line
        return None

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
            unknown = "object" if parameter.name == self.instance else "float"
            shown = unknown if structure is None else structure.pretty()
            default = "" if parameter.default is None else f" = {parameter.default}"
            lines.append(f"  {parameter.name}: {shown}{default}")
        lines += [f"  # gradgen: {d.kind} {d.text}" for d in self.directives]
        lines += [f"  {c.kind} {c.name}({', '.join(c.fields)})" for c in self.containers]
        return "\n".join(lines)
