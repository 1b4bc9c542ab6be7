"""Adding a target to pyproject.toml; what stands there already stays as it is."""

from __future__ import annotations

import ast
import os
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.items import Table

from gradgen.compile.outputs import require_apart
from gradgen.config import DEFAULT_FUNCTIONS, Settings
from gradgen.errors import GradgenError
from gradgen.files import alone_in, read_text, require_named, write_atomically
from gradgen.frontend.reading.directives import parse_range, parse_size
from gradgen.frontend.reading.source import read_source
from gradgen.ir.prices import COUNTED, Prices
from gradgen.project.configuration import FILE, TABLE, parse
from gradgen.project.target import Target, shown


def add_target(settings: Settings, output: str | None, name: str | None) -> Target:
    """Write a target for a source into the nearest pyproject.toml, or into a new one.

    Raises GradgenError if the source has no function to differentiate, or if there is such a target
    already. The source is read and not executed.
    """
    source = Path(settings.path)
    text = read_text(settings.path, "the source file")
    discover = None if settings.example is None else ()
    read_source(settings.path, text, settings.function, settings.directives, discover=discover)
    path = _nearest(Path.cwd())
    name = source.stem if name is None else name
    written = source.with_name(f"{source.stem}_grad.py") if output is None else Path(output)
    require_named(str(written) if output is None else output)
    require_apart(str(written), settings)
    with alone_in(path.parent):
        before = read_text(shown(path), "the configuration") if path.exists() else ""
        document = tomlkit.parse(before)
        targets = _tables(document, (*TABLE, "targets"), path)
        if name in targets:
            raise GradgenError(
                f"there is a target '{name}' already",
                hint="choose another name with --name, or change it there",
                path=shown(path),
            )
        entry = _entry(settings, _relative(source, path), _relative(written, path), path)
        targets[name] = entry.add(tomlkit.nl())
        after = tomlkit.dumps(document).rstrip("\n") + "\n"
        target = next(t for t in parse(path, after).targets if t.name == name)
        write_atomically(str(path), after)
    return target


def _nearest(start: Path) -> Path:
    """The nearest pyproject.toml; a new one belongs into the working folder."""
    for folder in (start, *start.parents):
        if (folder / FILE).is_file():
            return folder / FILE
    return start / FILE


def _tables(document: Any, names: tuple[str, ...], path: Path) -> Any:
    """The table by this name, made where it is missing."""
    here = document
    for name in names:
        if name not in here:
            here[name] = tomlkit.table(is_super_table=True)
        here = here[name]
        if not hasattr(here, "keys"):
            raise GradgenError(f"'{name}' is not a table", path=shown(path))
    return here


def _entry(settings: Settings, source: str, output: str, path: Path) -> Table:
    """The keys of a target, each only where it says something."""
    entry = tomlkit.table()
    entry["source"] = source
    if settings.function is not None:
        entry["function"] = settings.function
    entry["output"] = output
    by_kind: dict[str, list[str]] = {}
    for kind, text in settings.directives:
        by_kind.setdefault(kind, []).append(text)
    if "wrt" in by_kind:
        entry["wrt"] = [part.strip() for part in ",".join(by_kind["wrt"]).split(",")]
    if "static" in by_kind:
        pairs = [text.partition("=") for text in by_kind["static"]]
        entry["static"] = _inline({key.strip(): _value(value) for key, _, value in pairs})
    if "range" in by_kind:
        ranges = [found for text in by_kind["range"] for found in parse_range(text)]
        entry["ranges"] = _inline({leaf: [low, high] for leaf, low, high in ranges})
    if "shape" in by_kind:
        shapes = [text.partition("=") for text in by_kind["shape"]]
        entry["shapes"] = _inline({leaf.strip(): axes.strip() for leaf, _, axes in shapes})
    if "size" in by_kind:
        sizes = [found for text in by_kind["size"] for found in parse_size(text)]
        entry["sizes"] = _inline(dict(sizes))
    if "dtype" in by_kind:
        entry["dtype"] = by_kind["dtype"][-1]
    if settings.example is not None:
        file, _, function = settings.example.rpartition(":")
        entry["example"] = f"{_relative(Path(file), path)}:{function}"
    if settings.per_neuron:
        entry["per-neuron"] = True
    for key, value, default in (
        ("objective", settings.objective.name, "muls"),
        ("prices", _prices(settings.objective.prices, path), None),
        ("elimination", settings.elimination, "vertex"),
        ("residuals", settings.residuals, "auto"),
        *settings.of_loops,
        ("locality", settings.locality, "auto"),
    ):
        if value != default:
            entry[key] = value
    if settings.emit != DEFAULT_FUNCTIONS:
        entry["emit"] = list(settings.emit)
    return entry


def _prices(prices: Prices, path: Path) -> str | None:
    """As a target says them; None for plain counts."""
    if prices == COUNTED:
        return None
    source = _relative(Path(prices.source), path) if prices.in_file else prices.source
    return f"{source}:{prices.precision}"


def _inline(content: dict[str, Any]) -> Any:
    table = tomlkit.inline_table()
    table.update(content)
    return table


def _value(expression: str) -> Any:
    """A number or truth value as itself, any other expression as a string."""
    try:
        value = ast.literal_eval(expression.strip())
    except (ValueError, SyntaxError):
        return expression.strip()
    return value if isinstance(value, bool | int | float) else expression.strip()


def _relative(file: Path, configuration: Path) -> str:
    """A path from the folder of pyproject.toml."""
    return Path(os.path.relpath(file.absolute(), configuration.parent)).as_posix()
