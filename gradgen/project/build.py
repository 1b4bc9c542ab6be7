"""Building: targets are made in other processes, and written by this one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from gradgen.errors import GradgenError
from gradgen.files import require_folder, require_other_file, write_atomically
from gradgen.project.outcome import Outcome, error_finding
from gradgen.project.processes import run
from gradgen.project.stamps import remember
from gradgen.project.target import Target
from gradgen.status import Status, mute


def build(
    targets: Sequence[Target],
    status: Status,
    *,
    search_again: bool = False,
    write: bool = True,
    debug: bool = False,
) -> Iterator[Outcome]:
    """Make each target, verify it, and write its file; with `write` off, only say what would be.

    A file is left alone where nothing but the release of gradgen would change in it.
    """
    for target in targets:
        if target.output is not None:
            require_other_file(target.output, target.settings.path)
    status = status if len(targets) == 1 else mute
    work = partial(_make, search_again=search_again, write=write, status=status)
    for target, outcome in zip(targets, run(work, targets, status, debug=debug), strict=True):
        yield _written(target, outcome) if write else outcome


def _make(target: Target, search_again: bool, write: bool, status: Status) -> Outcome:
    from gradgen.project.making import make

    if write and target.output is not None:
        require_folder(target.output)  # before all the work
    return make(target, search_again, status)


def _written(target: Target, outcome: Outcome) -> Outcome:
    text = outcome.new
    if target.output is None or text is None:
        return outcome
    try:
        if outcome.state == "different":
            write_atomically(target.output, text)
            outcome = replace(outcome, state="written")
        remember(target, text)
    except GradgenError as error:
        return replace(outcome, state="error", findings=(error_finding(error),), sentence="")
    return outcome
