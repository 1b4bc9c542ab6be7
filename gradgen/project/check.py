"""Checking: digests first, then what is left in other processes; nothing is written or searched."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from gradgen.compile.status import Status
from gradgen.errors import GradgenError
from gradgen.files import resolved
from gradgen.project.budgets import over_budget
from gradgen.project.outcome import Finding, Outcome
from gradgen.project.processes import run
from gradgen.project.record import committed
from gradgen.project.stamps import is_remembered, remember
from gradgen.project.target import Target, shown
from gradgen.targets.jax.seal import is_generated


def check(
    targets: Sequence[Target], status: Status, *, verified: bool, debug: bool = False
) -> Iterator[Outcome]:
    """Whether the file of each target is current, within its budgets and, if asked for, exact."""
    quick = {} if verified else {k: _unchanged(target) for k, target in enumerate(targets)}
    slow = [target for k, target in enumerate(targets) if quick.get(k) is None]
    inspected = run(partial(_inspect, verified=verified), slow, status, debug=debug)
    for k, target in enumerate(targets):
        outcome = quick.get(k)
        if outcome is None:
            outcome = next(inspected)
            if outcome.state in ("current", "over budget") and outcome.old is not None:
                remember(target, outcome.old)
        yield outcome


def _inspect(target: Target, status: Status, *, verified: bool) -> Outcome:
    from gradgen.project.inspecting import inspect

    return inspect(target, verified, status)


def _unchanged(target: Target) -> Outcome | None:
    """The outcome for a file of which nothing has changed since it was found current, else None."""
    try:
        text, record = committed(target.output)
        if text is None or not is_remembered(target, text):
            return None
    except (OSError, ValueError, GradgenError):
        return None  # the pipeline says it better
    counts = None if record is None else record.counts
    if counts is None:
        return None
    over = over_budget(target, counts)
    return Outcome(
        target.name,
        target.settings.path,
        target.output,
        "over budget" if over else "current",
        over,
        f"{counts.ops} operations, {counts.muls} multiplications; nothing has changed",
        counts,
        counts,
        text,
        text,
    )


def orphans(outputs: set[Path]) -> Iterator[Outcome]:
    """Generated files beside the outputs of targets that no target writes."""
    for folder in sorted({output.parent for output in outputs}):
        for path in sorted(folder.glob("*.py")):
            if resolved(path) not in outputs and _looks_generated(path):
                where = shown(path)
                finding = Finding(
                    "orphan",
                    "no target writes this file",
                    "delete it, or give it a target again with `gradgen init SOURCE`",
                    where,
                    1,
                )
                yield Outcome(None, "", where, "orphan", (finding,))


def _looks_generated(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8-sig") as file:
            return is_generated(file.readline())
    except (OSError, UnicodeDecodeError):
        return False
