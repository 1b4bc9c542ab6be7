"""What the command line tells people: progress, messages, errors as exit codes."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import click

from gradgen.errors import GradgenError, UnforeseenError

INTERRUPTED = 130
"""The exit code that shells give what Ctrl-C has ended."""


class Reporting:
    """Progress and messages on standard error; errors become exit codes."""

    def __init__(self, debug: bool, quiet: bool) -> None:
        self._debug = debug
        self._quiet = quiet
        self._spinner: Any = None

    def __enter__(self) -> Reporting:
        return self

    def status(self, what: str) -> None:
        """Say what is going on, where somebody watches."""
        if self._quiet or not sys.stderr.isatty():
            return
        if self._spinner is None:
            from rich.console import Console

            self._spinner = Console(stderr=True).status(what)
            self._spinner.start()
        self._spinner.update(what)

    def stop(self) -> None:
        """Take the progress line away."""
        if self._spinner is not None:
            self._spinner.stop()
            self._spinner = None

    def say(self, message: str) -> None:
        """A line for people, unless they asked for quiet."""
        if not self._quiet:
            click.echo(message, err=True)

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self.stop()
        if error is None or self._debug:
            return
        if isinstance(error, KeyboardInterrupt):
            _fail("interrupted", INTERRUPTED)
        if isinstance(error, GradgenError):
            _fail(str(error), error.exit_code)
        if isinstance(error, Exception) and not isinstance(error, click.ClickException):
            unforeseen = UnforeseenError.of(error)
            _fail(str(unforeseen), unforeseen.exit_code)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(message, err=True)
    raise SystemExit(code)
