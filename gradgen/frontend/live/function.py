"""A step function of a running program, and whether its file still says what runs."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType, FunctionType
from typing import Any

from gradgen.errors import GradgenError


@dataclass(frozen=True)
class LiveFunction:
    """A function that its module knows by its name."""

    function: Callable[..., Any]
    """As the module has it: jitted, say."""
    plain: FunctionType
    """What its `def` statement made, without decorators."""

    @property
    def name(self) -> str:
        """Its own name, and that in the module."""
        return self.plain.__name__

    @property
    def namespace(self) -> dict[str, Any]:
        """The names that it sees."""
        return self.plain.__globals__

    @property
    def path(self) -> str:
        """Of the file or the cell that it comes from, as code objects have it."""
        return self.plain.__code__.co_filename

    @property
    def in_file(self) -> bool:
        """Whether that is a file, and not a cell of a notebook or a line typed in."""
        return os.path.isfile(self.path)


def find_function(function: Any) -> LiveFunction:
    """The function behind an object: itself, or what `jax.jit` and the like have wrapped.

    Raises GradgenError for anything but a function that stands at the top level of its module.
    """
    plain = unwrapped(function)
    if not isinstance(plain, FunctionType):
        raise GradgenError(
            f"a step function is needed, and this is of the type {type(function).__name__}",
            hint="pass a function that is defined with def; what it is to be called with is said "
            "by static=",
        )
    known = plain.__globals__.get(plain.__name__)
    if known is None or unwrapped(known) is not plain:
        raise GradgenError(
            f"'{plain.__qualname__}' is not a function at the top level of its module",
            hint="define it with def in a file or in a cell of its own; what it takes from the "
            "function around it is best an argument; a method's file is written by the command, "
            "gradgen FILE:Class.method",
        )
    return LiveFunction(known, plain)


def require_current(live: LiveFunction, text: str) -> None:
    """Raise GradgenError unless the text of its file is what the function was compiled from.

    So must be every other function of that file that its module has.
    """
    path = live.path
    try:
        compiled = set(_codes(compile(text, path, "exec", dont_inherit=True)))
    except (SyntaxError, ValueError):
        return  # reading the text says it better
    for value in live.namespace.values():
        plain = unwrapped(value)
        if not isinstance(plain, FunctionType) or plain.__code__.co_filename != path:
            continue
        if plain.__code__ not in compiled:
            raise GradgenError(
                f"the file of '{plain.__name__}' has changed since it was imported",
                hint="import it anew: restart the session, or use importlib.reload",
                path=path,
            )


def unwrapped(value: Any) -> Any:
    """What is left of a value without its decorators, as far as they say what they wrap."""
    try:
        return inspect.unwrap(value) if callable(value) else value
    except ValueError:  # some objects have any attribute that they are asked for
        return value


def _codes(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)
