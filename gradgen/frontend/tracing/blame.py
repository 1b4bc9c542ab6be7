"""Whatever the user's code raises becomes an error at its line, here and nowhere else.

Of what it does to the process, that is put back which gradgen itself goes on with: the working
folder, which paths that are yet to be read are relative to, where modules are found, how deep calls
may go, and what JAX computes on.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from gradgen.errors import GradgenError
from gradgen.frontend.tracing import jax_compat
from gradgen.ir.source import Position, Source

LineOf = Callable[[str, int], int | None]
"""The line of a text for one of executed code, by its file; None if that is of something else."""


def outside(eqn: jax_compat.Eqn, function: str) -> str:
    """The hint for an operation that a function is to do without."""
    if not eqn.outvars:
        return f"take this out of the {function}: nothing that it returns hangs on it"
    return f"compute this outside the {function}, and pass the result as an argument"


@contextmanager
def users_code(
    path: str | None,
    line_of: LineOf,
    what: str,
    hint: str | None = None,
    *,
    at: Position | None = None,
    mixed: bool = False,
) -> Iterator[None]:
    """A context for the user's code: what it raises is a GradgenError, which says `what` fails.

    `SystemExit` and the like count as well; Ctrl-C does not. The place is the last line of the text
    in the traceback, or else `at`. With `mixed`, code of gradgen runs in here too, and only what
    comes out of lines of the text, or is no `Exception`, is the user's fault.
    """
    try:
        with _process_kept():
            yield
    except GradgenError:
        raise
    except BaseException as error:
        line, column = place_of(error, line_of)
        ours = mixed and line is None and isinstance(error, Exception)
        if ours or is_interruption(error):
            raise
        if line is None and at is not None:
            line, column = at.line, at.column
        message = f"{what}: {type(error).__name__}: {first_line(error)}"
        raise GradgenError(message, hint=hint, path=path, line=line, column=column) from error


@contextmanager
def _process_kept() -> Iterator[None]:
    """A context after which this process works as before; what was added for modules stays."""
    folder, depth = os.getcwd(), sys.getrecursionlimit()
    paths, entries = sys.path, list(sys.path)
    try:
        with jax_compat.platforms_kept():
            yield
    finally:
        sys.setrecursionlimit(max(depth, sys.getrecursionlimit()))
        paths[:] = [*sys.path, *(entry for entry in entries if entry not in sys.path)]
        sys.path = paths
        with suppress(OSError):
            os.chdir(folder)


@contextmanager
def calling(source: Source) -> Iterator[None]:
    """A context in which gradgen itself calls the source's function, in all sorts of ways."""
    fails = users_code(
        source.path,
        source.line_of,
        f"'{source.function}' fails when gradgen calls it",
        "a step function is called many times, on tracers, numbers and arrays: it has to take that",
        at=source.position,
        mixed=True,
    )
    with fails, jax_compat.as_usual():
        yield


def first_line(error: BaseException) -> str:
    """The first line of an exception's message."""
    return (str(error).strip() or "no message").split("\n", 1)[0]


def place_of(error: BaseException, line_of: LineOf) -> tuple[int | None, int]:
    """The last line of the text in an exception's traceback, and the column there."""
    frames = reversed(traceback.extract_tb(error.__traceback__))
    places = ((line_of(f.filename, f.lineno or 0), f.colno or 0) for f in frames)
    return next((place for place in places if place[0] is not None), (None, 0))


def is_interruption(error: BaseException) -> bool:
    """Whether it is Ctrl-C; where that ends the process at once, only the source can raise it."""
    return isinstance(error, KeyboardInterrupt) and (
        signal.getsignal(signal.SIGINT) is not signal.SIG_DFL
    )
