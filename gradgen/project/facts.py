"""What a generated file was made from, then and now, told without running anything."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradgen.frontend.reading.local_imports import digest_of, digests_of_imports
from gradgen.project.outcome import Finding
from gradgen.project.record import Record
from gradgen.project.target import Target


@dataclass(frozen=True)
class Facts:
    """What determines a text, beside gradgen itself."""

    source: str
    """The path as the text shows it."""
    digest: str
    imports: tuple[tuple[str, str], ...]
    options: tuple[tuple[str, Any], ...]
    function: str | None
    """As asked for; None to find it in the source."""
    prices: str | None = None
    """The digest of those that it goes by."""


def facts_of(target: Target) -> Facts:
    """Today's facts; raises OSError or ValueError if the source cannot be read."""
    settings = target.settings
    return Facts(
        settings.shown(settings.path),
        digest_of(Path(settings.path)),
        digests_of_imports(settings.path, settings.example),
        settings.options(),
        settings.function,
        settings.objective.prices.recorded,
    )


def reasons(target: Target, record: Record, facts: Facts) -> tuple[Finding, ...]:
    """Why a file is stale, as far as digests tell; empty if they all agree."""
    edited = _stale(target, f"{target.output} was edited by hand", target.output)
    settings = target.settings
    if not record.legible:
        return (edited,)
    found = []
    if record.digest != f"sha256:{facts.digest}":
        found.append(_stale(target, f"the source of {target.output} has changed", settings.path))
    for path, what in _changed_imports(record.imports, facts, settings.path):
        found.append(_stale(target, f"{what} the source of {target.output}", path))
    if None not in (record.prices, facts.prices) and record.prices != facts.prices:
        prices = settings.objective.prices
        path = prices.source if prices.in_file else settings.path
        found.append(_stale(target, f"the prices of {target.output} have changed", path))
    different = _different_options(record, facts)
    if different:
        found.append(
            Finding(
                "stale",
                f"the configuration of {target.output} has changed: {', '.join(different)}",
                target.command,
                target.configuration or settings.path,
                target.line(different[0]),
            )
        )
    if record.edited:
        found.append(edited)
    return tuple(found)


def _stale(target: Target, message: str, path: str | None) -> Finding:
    return Finding("stale", message, target.command, path, 1)


def _changed_imports(before: Mapping[str, str], facts: Facts, source: str) -> list[tuple[str, str]]:
    """The path of each local import that is not as it was, with what became of it."""
    now = {path: f"sha256:{digest}" for path, digest in facts.imports}
    folder = Path(source).parent
    changed = [path for path in now if now[path] != before.get(path)]
    gone = sorted(before.keys() - now.keys())
    return [
        *((str(folder / path), "this module has changed, which is part of") for path in changed),
        *((source, f"the module {path} is not any more part of") for path in gone),
    ]


def _different_options(record: Record, facts: Facts) -> list[str]:
    """The names of the options that are not those recorded."""
    before, now = record.options, dict(facts.options)
    different = sorted(k for k in before.keys() | now.keys() if before.get(k) != now.get(k))
    # a class stands for its __call__
    if record.function not in (facts.function, f"{facts.function}.__call__") and facts.function:
        different.append("function")
    if record.source != facts.source:
        different.append("source")
    return different
