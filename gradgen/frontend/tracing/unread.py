"""What objects hold and the source never looks at, which need not be bound: found by trial."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Set
from contextlib import suppress
from dataclasses import replace
from typing import Any

from gradgen.frontend.tracing.others import Doing
from gradgen.frontend.tracing.signature import Signature

Read = Mapping[str, Set[str]]
"""By the path of an object the names that were asked of it."""

_OF_THE_CLASS = frozenset(("__class__", "__doc__", "__module__"))
"""What tells nothing of attributes."""


def without_unread(signature: Signature, trace: Callable[[Signature], Doing]) -> Signature:
    """The signature that binds of objects only what the source reads.

    Where the source does otherwise with objects that note what is read, all remains bound.
    """
    if not any(argument.bound for argument in signature.arguments):
        return signature
    read: defaultdict[str, set[str]] = defaultdict(set)

    def noting(path: str, value: Any) -> Any:
        if not isinstance(value, dict | list | tuple):
            _note(value, read[path])
        return value

    with suppress(Exception):  # whatever a class makes of a class like it
        if trace(replace(signature, passed=noting)) != trace(signature):
            return signature
        arguments = tuple(
            replace(a, bound=tuple(b for b in a.bound if _is_read(b.path, read)))
            for a in signature.arguments
        )
        return replace(signature, arguments=arguments)
    return signature


def _is_read(path: str, read: Read) -> bool:
    """Whether what is there was asked for, and all that it is in."""
    keys = path.split(".")
    places = ((".".join(keys[:k]), keys[k]) for k in range(1, len(keys)))
    return all(key in read[place] for place, key in places if place in read)


def _note(value: Any, read: set[str]) -> None:
    """Make an object write down which of its attributes are read."""
    kind: Any = type(value)

    def getattribute(self: Any, name: str) -> Any:
        if name == "__class__":
            return kind
        if name.startswith("__") and name not in _OF_THE_CLASS:
            read.update(object.__getattribute__(self, "__dict__"))  # `vars`, a copy, a comparison
        read.add(name)
        return kind.__getattribute__(self, name)

    parts = {"__slots__": (), "__getattribute__": getattribute, "__module__": kind.__module__}
    object.__setattr__(value, "__class__", type(kind)(kind.__name__, (kind,), parts))
