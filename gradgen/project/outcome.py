"""What became of a target: the value between building or checking and every form of output."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gradgen.errors import GradgenError, diagnostic
from gradgen.project.record import Counts

FindingKind = Literal["stale", "over budget", "inexact", "orphan", "error", "warning"]
State = Literal[
    "current", "written", "unchanged", "different", "stale", "over budget", "inexact", "orphan",
    "error",
]  # fmt: skip
"""`different`: a build would change the file, and was only asked for the difference."""


@dataclass(frozen=True)
class Finding:
    """Something to tell about a target, with its place."""

    kind: FindingKind
    message: str
    mend: str | None = None
    """What to do about it, a command where there is one."""
    path: str | None = None
    line: int | None = None
    column: int = 0
    exit_code: int = 1

    def pretty(self) -> str:
        """As compilers print it, with the mend on a line of its own."""
        return diagnostic(
            self.kind, self.message, self.mend, path=self.path, line=self.line, column=self.column
        )


@dataclass(frozen=True)
class Outcome:
    """What became of one target."""

    target: str | None
    """Its name in pyproject.toml."""
    source: str
    output: str | None
    state: State
    findings: tuple[Finding, ...] = ()
    sentence: str = ""
    """What there is to say if all is well."""
    counts: Counts | None = None
    before: Counts | None = None
    """Of the committed file."""
    old: str | None = None
    """The committed text; None if there is none."""
    new: str | None = None
    """What a build writes; None where only a search can tell."""
    details: tuple[str, ...] = ()

    @property
    def exit_code(self) -> int:
        """0 if all is well, 1 if something is to mend, more for errors."""
        return max((f.exit_code for f in self.findings if f.kind != "warning"), default=0)


def error_finding(error: GradgenError) -> Finding:
    """An error as a finding."""
    return Finding(
        "error",
        error.message,
        error.hint,
        error.path,
        error.line,
        error.column,
        exit_code=error.exit_code,
    )


def worst(outcomes: Sequence[Outcome]) -> int:
    """The exit code of them all."""
    return max((outcome.exit_code for outcome in outcomes), default=0)
