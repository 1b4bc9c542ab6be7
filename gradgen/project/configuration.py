"""`[tool.gradgen]` in pyproject.toml: found and read; what is not known in it is an error.

Keys are the long options of the command line, with lists and tables where an option is repeated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradgen.config import (
    DEFAULT_FUNCTIONS,
    DTYPES,
    ELIMINATIONS,
    FUNCTIONS,
    LOCALITIES,
    OBJECTIVES,
    RESIDUALS,
    Settings,
    bytes_in,
    is_count_or_auto,
)
from gradgen.errors import GradgenError, no_faces
from gradgen.files import SEPARATORS, document_of, line_of, read_text, resolved
from gradgen.ir.graph import FACE
from gradgen.ir.objective import Objective
from gradgen.prices.objectives import objective_of
from gradgen.project.target import BUDGETS, Target, shown

FILE = "pyproject.toml"
TABLE = ("tool", "gradgen")


@dataclass(frozen=True)
class Configuration:
    """A pyproject.toml with its targets, in the order in which they stand there."""

    path: Path
    targets: tuple[Target, ...]

    @property
    def outputs(self) -> set[Path]:
        """Every file that a target writes, links followed."""
        return {resolved(t.output) for t in self.targets if t.output is not None}


def find(start: Path) -> Path | None:
    """The nearest pyproject.toml with a table `[tool.gradgen]`, in `start` or above it."""
    for folder in (start, *start.parents):
        path = folder / FILE
        if path.is_file():
            text = read_text(shown(path), "the configuration")
            if TABLE[1] in _tools(document_of(text, shown(path)), path, text):
                return path
    return None


def read(path: Path) -> Configuration:
    """Read a pyproject.toml; raises GradgenError, with the line, for what is wrong in it."""
    return parse(path, read_text(shown(path), "the configuration"))


def parse(path: Path, text: str) -> Configuration:
    """The configuration in the text of a pyproject.toml; raises GradgenError as `read` does."""
    table = _table(document_of(text, shown(path)), path, text)
    targets = table.pop("targets", {})
    if not isinstance(targets, dict):
        raise _error(path, text, TABLE, "targets", "'targets' is not a table of targets")
    defaults = _Table(path, text, TABLE, table)
    defaults.check(_DEFAULTS)
    found = tuple(_target(path, text, name, defaults, entry) for name, entry in targets.items())
    _check_files(path, text, found)
    return Configuration(path, found)


def _table(document: Mapping[str, Any], path: Path, text: str) -> dict[str, Any]:
    table = _tools(document, path, text).get(TABLE[1], {})
    if not isinstance(table, dict):
        raise _error(path, text, TABLE[:1], TABLE[1], f"'{TABLE[1]}' is not a table")
    return dict(table)


def _tools(document: Mapping[str, Any], path: Path, text: str) -> dict[str, Any]:
    tools = document.get(TABLE[0], {})
    if not isinstance(tools, dict):
        raise _error(path, text, (), TABLE[0], f"'{TABLE[0]}' is not a table")
    return tools


def _error(
    path: Path, text: str, table: tuple[str, ...], key: str, message: str, hint: str | None = None
) -> GradgenError:
    return GradgenError(message, hint=hint, path=shown(path), line=line_of(text, table, key))


@dataclass(frozen=True)
class _Table:
    """A table of keys, with the place that it stands at."""

    path: Path
    text: str
    name: tuple[str, ...]
    content: Mapping[str, Any]

    def check(self, known: Mapping[str, Callable[[Any], Any]]) -> None:
        """Raise GradgenError for a key that is not known, or a value of another type."""
        for key, value in self.content.items():
            if key not in known:
                raise self.error(
                    key, f"there is no key '{key}'", f"known are {', '.join(sorted(known))}"
                )
            if (key, value) == ("elimination", FACE):
                raise no_faces(shown(self.path), line_of(self.text, self.name, key))
            try:
                known[key](value)
            except (TypeError, ValueError) as error:
                raise self.error(key, f"'{key}' is not {error}") from None

    def error(self, key: str, message: str, hint: str | None = None) -> GradgenError:
        """An error at a key."""
        return _error(self.path, self.text, self.name, key, message, hint)


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value or "\0" in value:
        raise TypeError("a string")
    return value


def _file(value: Any) -> str:
    if _text(value).endswith(SEPARATORS):
        raise ValueError("the path of a file")
    return str(value)


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false")
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError("a whole number from 0")
    return value


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise TypeError("a list of names")
    return tuple(value)


def _functions(value: Any) -> tuple[str, ...]:
    names = _names(value)
    unknown = [name for name in names if name not in FUNCTIONS]
    if unknown:
        raise ValueError(f"a list of {', '.join(FUNCTIONS)}: there is no {unknown[0]}")
    return names


def _one_of(choices: tuple[str, ...]) -> Callable[[Any], str]:
    def choose(value: Any) -> str:
        if value not in choices:
            raise ValueError(f"one of {', '.join(choices)}")
        return str(value)

    return choose


def _count_or_auto(value: Any) -> str:
    if isinstance(value, bool | float) or not is_count_or_auto(value):
        raise ValueError('a number from 1, or "auto"')
    return str(value)


def _memory(value: Any) -> str:
    try:
        bytes_in(str(value))
    except ValueError:
        raise ValueError('a memory, such as "200MB"') from None
    return str(value)


def _static(value: Any) -> tuple[str, ...]:
    """A number or truth value stands for itself, a string is a Python expression."""
    if not isinstance(value, dict) or not all(
        isinstance(v, str | int | float | bool) for v in value.values()
    ):
        raise TypeError("a table of numbers, or of Python expressions as strings")
    return tuple(f"{k}={v if isinstance(v, str) else _expression(v)}" for k, v in value.items())


def _expression(value: float) -> str:
    """A number or truth value as a Python expression."""
    named = isinstance(value, float) and not math.isfinite(value)
    return f"float('{value}')" if named else repr(value)


def _ranges(value: Any) -> tuple[str, ...]:
    if not isinstance(value, dict) or not all(_is_range(v) for v in value.values()):
        raise TypeError("a table of ranges [low, high]")
    return tuple(f"{k}={low!r}:{high!r}" for k, (low, high) in value.items())


def _shapes(value: Any) -> tuple[str, ...]:
    if not isinstance(value, dict) or not all(isinstance(v, str) for v in value.values()):
        raise TypeError('a table of axes in brackets, such as "(batch, n)"')
    return tuple(f"{k}={axes}" for k, axes in value.items())


def _sizes(value: Any) -> tuple[str, ...]:
    if not isinstance(value, dict) or not all(type(v) is int and v > 0 for v in value.values()):
        raise TypeError("a table of numbers from 1")
    return tuple(f"{k}={number}" for k, number in value.items())


def _is_range(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and all(isinstance(v, int | float) and not isinstance(v, bool) for v in value)
    )


_DEFAULTS: Mapping[str, Callable[[Any], Any]] = {
    "static": _static,
    "ranges": _ranges,
    "sizes": _sizes,
    "dtype": _one_of(DTYPES),
    "per-neuron": _flag,
    "objective": _one_of(OBJECTIVES),
    "prices": _text,
    "elimination": _one_of(ELIMINATIONS),
    "emit": _functions,
    "residuals": _one_of(RESIDUALS),
    "locality": _one_of(LOCALITIES),
}
"""What `[tool.gradgen]` may say for all targets, and how each value is read."""
_KEYS: Mapping[str, Callable[[Any], Any]] = {
    "source": _text,
    "output": _file,
    "function": _text,
    "wrt": _names,
    "example": _text,
    "shapes": _shapes,
    **dict.fromkeys(("blocks", "segments", "unroll"), _count_or_auto),
    "memory": _memory,
    **dict.fromkeys(BUDGETS, _count),
    **_DEFAULTS,
}
"""What a target may say."""


def _target(path: Path, text: str, name: str, defaults: _Table, entry: Any) -> Target:
    place = (*TABLE, "targets", name)
    if not isinstance(entry, dict):
        raise _error(path, text, place[:-1], name, f"the target '{name}' is not a table")
    table = _Table(path, text, place, entry)
    table.check(_KEYS)
    for key in ("source", "output"):
        if key not in entry:
            raise table.error("", f"the target '{name}' has no {key}", f'add {key} = "PATH.py"')
    given = {key: _KEYS[key](value) for key, value in {**defaults.content, **entry}.items()}
    directives = [("static", text) for text in given.get("static", ())]
    for kind, key in (("range", "ranges"), ("shape", "shapes"), ("size", "sizes")):
        directives += [(kind, text) for text in given.get(key, ())]
    if "dtype" in given:
        directives.append(("dtype", given["dtype"]))
    if "wrt" in given:
        directives.append(("wrt", ", ".join(given["wrt"])))
    folder = path.parent
    settings = Settings(
        path=shown(folder / given["source"]),
        function=given.get("function"),
        directives=tuple(directives),
        example=_example(folder, table, given.get("example")),
        objective=_objective(table, given, folder),
        elimination=given.get("elimination", "vertex"),
        emit=given.get("emit", DEFAULT_FUNCTIONS),
        residuals=given.get("residuals", "auto"),
        blocks=given.get("blocks", "auto"),
        segments=given.get("segments"),
        unroll=given.get("unroll", "auto"),
        memory=given.get("memory"),
        locality=given.get("locality", "auto"),
        per_neuron=given.get("per-neuron", False),
        root=str(folder),
    )
    return Target(
        settings,
        shown(folder / given["output"]),
        name,
        {key: given[key] for key in BUDGETS if key in given},
        shown(path),
        {key: line_of(text, place, key) for key in ("", *entry)},
    )


def _objective(table: _Table, given: Mapping[str, Any], folder: Path) -> Objective:
    """What is to be small; a file of prices is looked for beside the configuration."""
    count, prices = given.get("objective", "muls"), given.get("prices")
    if count != "price" and "prices" not in table.content:
        prices = None  # those of all targets that go by prices
    try:
        return objective_of(count, prices, folder)
    except GradgenError as error:
        raise error.located(shown(table.path), line_of(table.text, table.name, "prices")) from None


def _example(folder: Path, table: _Table, text: str | None) -> str | None:
    if text is None:
        return None
    path, colon, name = text.rpartition(":")
    if not colon or not name.isidentifier():
        raise table.error("example", f"'{text}' is not of the form FILE:FUNCTION")
    return f"{shown(folder / path)}:{name}"


def _check_files(path: Path, text: str, targets: tuple[Target, ...]) -> None:
    """Raise GradgenError if two targets have one output, or one would overwrite a source."""
    sources = {resolved(target.settings.path): target.name for target in targets}
    writers: dict[Path, str | None] = {}
    for target in targets:
        output = resolved(str(target.output))
        place = (*TABLE, "targets", str(target.name))
        if output == resolved(path):
            raise _error(
                path, text, place, "output",
                f"the output of '{target.name}' would overwrite this configuration",
            )  # fmt: skip
        if output in sources:
            raise _error(
                path, text, place, "output",
                f"the output of '{target.name}' would overwrite the source of '{sources[output]}'",
            )  # fmt: skip
        if output in writers:
            raise _error(
                path, text, place, "output",
                f"'{writers[output]}' and '{target.name}' have the same output",
            )  # fmt: skip
        writers[output] = target.name
