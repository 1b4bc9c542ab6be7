"""Errors that a user can act on: a place, one sentence, a hint, an exit code."""

from __future__ import annotations

from typing import Protocol


def diagnostic(
    kind: str,
    message: str,
    hint: str | None,
    *,
    path: str | None,
    line: int | None,
    column: int,
) -> str:
    """`path:line:column: kind: message` as compilers print it, then the hint on a line of its own.

    Lines count from 1 and columns from 0; people see both from 1.
    """
    place = ""
    if path is not None:
        place = f"{path}: " if line is None else f"{path}:{line}:{column + 1}: "
    text = f"{place}{kind}: {message}"
    return text if hint is None else f"{text}\n  hint: {hint}"


class GradgenError(Exception):
    """Something in the input that gradgen cannot work with (exit code 2).

    `message` is one sentence; `hint` says what to do; `path`, `line` (from 1) and `column` (from 0)
    say where. `about` is the kind of a directive that is not in the source: it stands where the
    settings do.
    """

    exit_code = 2

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        path: str | None = None,
        line: int | None = None,
        column: int = 0,
        about: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.path = path
        self.line = line
        self.column = column
        self.about = about

    def located(self, path: str, line: int | None = None, column: int = 0) -> GradgenError:
        """The same error, with the place filled in where it was not known yet."""
        if self.path is None:
            self.path = path
        if self.line is None:
            self.line = line
            self.column = column
        return self

    def __str__(self) -> str:
        """`path:line:column: error: message`, then the hint on a line of its own."""
        return diagnostic(
            "error", self.message, self.hint, path=self.path, line=self.line, column=self.column
        )


class Place(Protocol):
    """A line, from 1, and a column, from 0."""

    @property
    def line(self) -> int | None:
        """The line; None where it is not known."""

    @property
    def column(self) -> int:
        """The column."""


class Placed(Protocol):
    """A source: a file, and where in it the target is."""

    @property
    def path(self) -> str:
        """The file."""

    @property
    def position(self) -> Place:
        """Of the target's `def` line."""


def error_in(
    source: Placed, message: str, *, hint: str | None = None, at: Place | None = None
) -> GradgenError:
    """The error at a place in a source, by default where its target is defined."""
    place = source.position if at is None else at
    return GradgenError(message, hint=hint, path=source.path, line=place.line, column=place.column)


def no_faces(path: str | None = None, line: int | None = None) -> GradgenError:
    """The error for face elimination, which there was once."""
    return GradgenError(
        "face elimination was taken out, since it saved nothing on any of 25 graphs",
        hint="eliminate by 'vertex' or by 'edge'",
        path=path,
        line=line,
    )


class UnforeseenError(GradgenError):
    """Something that gradgen did not expect, and is to blame for: exit code 3."""

    exit_code = 3

    @classmethod
    def of(cls, error: BaseException, path: str | None = None) -> UnforeseenError:
        """An error that says what happened."""
        first = (str(error).strip() or "no message").split("\n", 1)[0]
        return cls(
            f"internal error: {type(error).__name__}: {first}",
            hint="this is a fault of gradgen; --debug shows where, please report it",
            path=path,
        )


class InexactError(GradgenError):
    """The generated code does not match JAX: exit code 3, nothing is written."""

    exit_code = 3
