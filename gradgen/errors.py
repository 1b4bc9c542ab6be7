"""Errors that a user can act on: a place, one sentence, a hint, an exit code."""

from __future__ import annotations


class GradgenError(Exception):
    """Something in the input that gradgen cannot work with (exit code 2).

    `message` is one sentence; `hint` says what to do; `path`, `line` (from 1) and `column` (from 0)
    say where.
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
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.path = path
        self.line = line
        self.column = column

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
        place = ""
        if self.path is not None:
            place = f"{self.path}:"
            if self.line is not None:
                place += f"{self.line}:{self.column + 1}:"
            place += " "
        text = f"{place}error: {self.message}"
        return text if self.hint is None else f"{text}\n  hint: {self.hint}"


class UnforeseenError(GradgenError):
    """Something that gradgen did not expect, and is to blame for: exit code 3."""

    exit_code = 3

    @classmethod
    def of(cls, error: Exception, path: str | None = None) -> UnforeseenError:
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
