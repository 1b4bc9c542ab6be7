"""What the command line tells people: progress, messages, errors as exit codes."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn, TextIO

import click

from gradgen.errors import GradgenError, UnforeseenError

INTERRUPTED = 130
"""The exit code that shells give what Ctrl-C has ended."""


class Terminal:
    """Progress and messages on standard error; errors become exit codes."""

    def __init__(self, debug: bool, quiet: bool) -> None:
        self._debug = debug
        self._quiet = quiet
        self._spinner: Any = None

    def __enter__(self) -> Terminal:
        return self

    def status(self, what: str) -> None:
        """Say what is going on, where somebody watches."""
        if self._quiet or sys.stderr is None or not sys.stderr.isatty():
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
            tell(message)

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        self.stop()
        if error is None or self._debug:
            return
        if isinstance(error, KeyboardInterrupt):
            # this ends now; who is impatient need not see how
            with suppress(ValueError):
                signal.signal(signal.SIGINT, signal.SIG_IGN)
            _fail("interrupted", INTERRUPTED)
        if isinstance(error, GradgenError):
            _fail(str(error), error.exit_code)
        if not isinstance(error, click.ClickException):
            unforeseen = UnforeseenError.of(error)
            _fail(str(unforeseen), unforeseen.exit_code)


class Interruption:
    """Ctrl-C during work that goes on in rounds, with nothing to keep before the first has ended.

    It is heeded after a round; before the first, or when it comes again, it ends the process on
    the spot. An exception in the middle of a round could come out of code that cannot stand it, or
    be ignored there.
    """

    def __init__(self) -> None:
        self.before_ending: Callable[[], None] = lambda: None
        self._rounds = 0
        self._asked = False
        self._outer: Any = None

    def __enter__(self) -> Interruption:
        # neither in another thread, nor where the shell has it ignored
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            with suppress(ValueError):
                self._outer = signal.signal(signal.SIGINT, self._interrupted)
        return self

    def __exit__(self, *_: object) -> None:
        if self._outer is not None:
            signal.signal(signal.SIGINT, self._outer)

    def heed(self) -> None:
        """A round has ended; raises KeyboardInterrupt if that was to be the last."""
        self._rounds += 1
        if self._asked:
            raise KeyboardInterrupt

    def _interrupted(self, *_: object) -> None:
        # past Python's buffers, which may be in the middle of something
        if self._rounds > 0 and not self._asked:
            self._asked = True
            _write_at_once("ending after this round; Ctrl-C once more ends at once\n")
            return
        with suppress(Exception):
            self.before_ending()
        _write_at_once("interrupted\n")
        os._exit(INTERRUPTED)


def _write_at_once(message: str) -> None:
    with suppress(OSError):
        os.write(2, message.encode())


def open_what_is_closed() -> None:
    """Have standard streams that are closed lead nowhere, before a file is opened in their place.

    Libraries write to them by their numbers. Python has taken note already that they are closed.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            nothing = os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            os.set_inheritable(nothing, True)


def tell(message: str) -> None:
    """A line on standard error, if there is somebody to read it."""
    try:
        click.echo(message, err=True)
    except OSError:
        _give_up(sys.stderr)


@contextmanager
def printing() -> Iterator[None]:
    """A context in which a result is printed; raises GradgenError if that does not arrive."""
    if sys.stdout is None:
        raise GradgenError("cannot print the result: standard output is closed")
    try:
        yield
        sys.stdout.flush()
    except OSError as error:
        _give_up(sys.stdout)
        raise GradgenError(f"cannot print the result: {error.strerror}") from None
    except UnicodeEncodeError as error:
        raise GradgenError(
            f"cannot print the result: {error.encoding} has no {error.object[error.start]!a}",
            hint="PYTHONUTF8=1 in the environment makes it UTF-8",
        ) from None


class Command(click.Command):
    """A command whose help arrives as its results do, or there is an error."""

    def make_context(self, *arguments: Any, **more: Any) -> click.Context:
        """Read the options; help and the version are printed meanwhile, which then ends."""
        ended = None
        with Terminal(debug=False, quiet=False):
            try:
                return super().make_context(*arguments, **more)
            except click.exceptions.Exit as error:
                ended = error
                with printing():
                    pass
            except OSError as error:
                with printing():
                    raise error
        raise ended


def _give_up(stream: TextIO) -> None:
    """Have a stream forget what it cannot print: it would try again when Python ends."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _fail(message: str, code: int) -> NoReturn:
    tell(message)
    raise SystemExit(code)
