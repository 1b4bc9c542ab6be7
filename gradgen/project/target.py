"""What is built and checked: a source, how to differentiate it, and the file it is written to."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from gradgen.config import Settings
from gradgen.errors import GradgenError

BUDGETS = ("max-muls", "max-ops", "max-residuals", "max-memory")
"""The keys that limit counts: multiplications of the accumulation, operations of the program."""

_KEYS = {"range": "ranges", "shape": "shapes", "size": "sizes"}
"""The keys of directives, where they are called otherwise."""


@dataclass(frozen=True)
class Target:
    """One generated file."""

    settings: Settings
    output: str | None
    """As it is shown, relative to the working folder; None for standard output."""
    name: str | None = None
    """In pyproject.toml; None for a source given on the command line."""
    budgets: Mapping[str, int] = field(default_factory=dict)
    """What counts may be at most, by the keys in BUDGETS."""
    configuration: str | None = None
    """The pyproject.toml that it stands in."""
    lines: Mapping[str, int] = field(default_factory=dict)
    """Where each key stands in there, and with the key `` the target itself."""

    @property
    def label(self) -> str:
        """What messages call it."""
        return self.output or self.name or self.settings.path

    @property
    def command(self) -> str:
        """The command that builds it."""
        if self.name is not None:
            return f"gradgen {shlex.quote(self.name)}"
        settings = self.settings
        words = [settings.path]
        if settings.function is not None:
            words += ["--function", settings.function]
        for option, value in settings.options():
            if value is True:
                words.append(f"--{option}")
            else:
                for text in value if isinstance(value, tuple) else (str(value),):
                    words += [f"--{option}", text]
        if self.output is not None:
            words += ["-o", self.output]
        return shlex.join(["gradgen", *words])

    def searched(self, budget: float, seed: int) -> Target:
        """The same target with another search."""
        return replace(self, settings=replace(self.settings, budget=budget, seed=seed))

    def line(self, key: str = "") -> int | None:
        """Where a key, or an option by its name, stands in pyproject.toml, or else the target."""
        return self.lines.get(_KEYS.get(key, key), self.lines.get(""))

    def placed(self, error: GradgenError) -> GradgenError:
        """An error of this target with a place: where what it is about stands, or the source."""
        if error.about is not None and self.configuration is not None:
            error.path, error.column = self.configuration, 0
            error.line = self.line(error.about)
            return error
        return error.located(self.settings.path)


def shown(path: Path) -> str:
    """A path as messages show it: from the working folder, where that is possible."""
    try:
        return os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
