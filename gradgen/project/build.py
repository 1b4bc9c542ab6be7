"""Building: targets are made in other processes, and written by this one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from gradgen.compile.outputs import require_free
from gradgen.compile.status import Status
from gradgen.errors import GradgenError
from gradgen.files import remove_left_over, write_atomically
from gradgen.project.outcome import Outcome, error_finding
from gradgen.project.processes import run
from gradgen.project.stamps import remember
from gradgen.project.target import Target
from gradgen.targets.jax.seal import is_generated


def build(
    targets: Sequence[Target],
    status: Status,
    *,
    search_again: bool = False,
    write: bool = True,
    force: bool = False,
    debug: bool = False,
) -> Iterator[Outcome]:
    """Make each target, verify it, and write its file; with `write` off, only say what would be.

    A file is left alone where nothing but the release of gradgen would change in it. One that
    gradgen did not write is replaced with `force` alone.
    """
    work = partial(_make, search_again=search_again, force=force)
    for target, outcome in zip(targets, run(work, targets, status, debug=debug), strict=True):
        yield _written(target, outcome, force) if write else outcome


def _make(target: Target, status: Status, *, search_again: bool, force: bool) -> Outcome:
    from gradgen.project.making import make

    _require_free(target, force)  # before all the work
    return make(target, search_again, status)


def _require_free(target: Target, force: bool) -> None:
    if target.output is not None:
        require_free(target.output, target.settings, is_generated, force=force)


def _written(target: Target, outcome: Outcome, force: bool) -> Outcome:
    text = outcome.new
    if target.output is None or text is None:
        return outcome
    try:
        _require_free(target, force)  # it may have come there meanwhile
        remove_left_over(target.output)
        if outcome.state == "different":
            write_atomically(target.output, text)
            outcome = replace(outcome, state="written")
        remember(target, text)
    except GradgenError as error:
        return replace(outcome, state="error", findings=(error_finding(error),), sentence="")
    return outcome
