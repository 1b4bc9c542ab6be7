"""What a function of a session is made of, put together as the text of one module.

The text is read and never executed: values are those that the session has. It holds the function,
the helpers and classes of the session that it uses, and the imports that these need.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FunctionType, ModuleType
from typing import Any

from gradgen.errors import GradgenError
from gradgen.frontend.live.cells import (
    CellStatement,
    class_statement,
    function_statement,
    names_in,
    shown_cell,
    statements_about,
)
from gradgen.frontend.live.function import LiveFunction, unwrapped
from gradgen.ir.source import SourcePart

NOTEBOOK = "<notebook>"
"""What generated files call their source if it is a session."""


def gather(live: LiveFunction) -> tuple[str, tuple[SourcePart, ...]]:
    """The text of a module around a function, and where its parts come from.

    Raises GradgenError if the text of the function, or of a class that its values are made of, is
    not known.
    """
    statement = function_statement(live.plain)
    if statement is None:
        raise GradgenError(
            f"the text of '{live.name}' is not known",
            hint="define it with def at the top level of a file, or of a notebook's cell",
        )
    gathering = _Gathering(live)
    gathering.add(statement)
    return gathering.module()


@contextmanager
def placed_in_cells(parts: Sequence[SourcePart]) -> Iterator[None]:
    """Errors that have a place in the text that was gathered get that in the cell."""
    try:
        yield
    except GradgenError as error:
        if error.path == NOTEBOOK and error.line is not None:
            for part in parts:
                if 0 <= error.line - part.line < part.count:
                    error.path = shown_cell(part.path)
                    error.line += part.first - part.line
                    break
        raise


class _Gathering:
    """Statements in an order in which they could be executed."""

    def __init__(self, live: LiveFunction) -> None:
        self._live = live
        self._namespace = live.namespace
        self._known = {live.name}
        self._imports: set[str] = set()
        self._statements: list[CellStatement] = []

    def add(self, statement: CellStatement) -> None:
        """A statement, after all that it uses."""
        for name in names_in(statement.node):
            if name in self._namespace and name not in self._known:
                self._known.add(name)
                self._use(name, self._namespace[name])
        self._statements.append(statement)

    def module(self) -> tuple[str, tuple[SourcePart, ...]]:
        """The text, and where its parts come from."""
        lines = sorted(self._imports)
        parts = []
        for statement in self._statements:
            lines += ["", ""] if lines else []
            count = statement.last - statement.first + 1
            parts.append(SourcePart(statement.path, statement.first, len(lines) + 1, count))
            lines += statement.text.split("\n")
        return "\n".join(lines) + "\n", tuple(parts)

    def _use(self, name: str, value: Any) -> None:
        if isinstance(value, ModuleType):
            renamed = "" if value.__name__ == name else f" as {name}"
            self._imports.add(f"import {value.__name__}{renamed}")
        elif self._is_of_session(value):
            self._define(name, value)
        elif callable(value):
            self._import(name, value)
        else:
            for kind in _classes_of(value):
                if self._namespace.get(kind.__name__) is kind and kind.__name__ not in self._known:
                    self._known.add(kind.__name__)
                    self._use(kind.__name__, kind)

    def _is_of_session(self, value: Any) -> bool:
        plain = unwrapped(value)
        if isinstance(plain, FunctionType):
            return plain.__globals__ is self._namespace
        return isinstance(plain, type) and plain.__module__ == self._namespace.get("__name__")

    def _define(self, name: str, value: Any) -> None:
        plain = unwrapped(value)
        if isinstance(plain, type):
            statement = class_statement(name, plain)
            if statement is None and _is_container(plain):
                raise GradgenError(
                    f"the text of the class '{name}', which '{self._live.name}' uses, is not known",
                    hint="define it in a file or in a cell, so that generated files can hold it",
                )
        else:
            statement = function_statement(plain)
        if statement is not None:
            self.add(statement)
            for further in statements_about(name, self._namespace):
                self.add(further)

    def _import(self, name: str, value: Any) -> None:
        own = getattr(value, "__name__", None)
        module = _public_module(value, own) if isinstance(own, str) else None
        if module is not None:
            renamed = "" if own == name else f" as {name}"
            self._imports.add(f"from {module} import {own}{renamed}")


def _public_module(value: Any, name: str) -> str | None:
    """A module from which a value can be imported by its name; None if there is none."""
    own = str(getattr(value, "__module__", None))
    loaded = sorted(sys.modules, key=lambda module: (module != own, len(module), module))
    for module in loaded:
        private = any(part.startswith("_") for part in module.split("."))
        if not private and getattr(sys.modules[module], "__dict__", {}).get(name) is value:
            return module
    return None


def _is_container(kind: type) -> bool:
    return hasattr(kind, "_fields") or dataclasses.is_dataclass(kind)


def _classes_of(value: Any) -> Iterator[type]:
    """The container classes of a value and of what it holds."""
    if isinstance(value, dict):
        parts = tuple(value.values())
    elif isinstance(value, tuple | list):
        parts = tuple(value)
    elif dataclasses.is_dataclass(value):
        parts = tuple(getattr(value, field.name) for field in dataclasses.fields(value))
    else:
        return
    if _is_container(type(value)):
        yield type(value)
    for part in parts:
        yield from _classes_of(part)
