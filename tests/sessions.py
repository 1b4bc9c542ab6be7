"""A session for tests: cells that are executed one after the other, as in a notebook."""

from __future__ import annotations

import itertools
import linecache
import types
from typing import Any

_number = itertools.count()


class Session:
    """A namespace that cells share; Python knows the text of each."""

    def __init__(self) -> None:
        self.names: dict[str, Any] = types.ModuleType("__main__").__dict__

    def cell(self, text: str) -> str:
        """Execute a cell; returns the path that Python knows it by."""
        path = f"<cell {next(_number)}>"
        linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)
        exec(compile(text, path, "exec"), self.names)
        return path

    def __getitem__(self, name: str) -> Any:
        return self.names[name]
