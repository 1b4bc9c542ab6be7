"""Reports on targets: a page for each, made in other processes, and an index of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from gradgen.compile.status import Status
from gradgen.errors import GradgenError
from gradgen.files import make_folder, require_output, write_atomically
from gradgen.project.outcome import Outcome, error_finding
from gradgen.project.processes import run
from gradgen.project.target import Target
from gradgen.report.formats import DocumentFormat, is_report
from gradgen.report.index import Count, IndexRow, write_index


def report_all(
    targets: Sequence[Target],
    folder: str,
    form: DocumentFormat,
    status: Status,
    *,
    force: bool = False,
    debug: bool = False,
) -> Iterator[Outcome]:
    """Write a report on each target, and an index of them, into a folder, as they are asked for.

    What else is in the folder is left alone; files by the names of reports are replaced if they are
    reports, or with `force`. Raises GradgenError if there can be no such folder, or if the index
    cannot be written.
    """
    make_folder(Path(folder))
    index = index_page(folder, form)
    require_output(index, is_report, force=force)
    work = partial(_describe, form=form)
    pages = page_names([str(target.name) for target in targets], form)
    entries = []
    for outcome, page in zip(run(work, targets, status, debug=debug), pages, strict=True):
        done = _written(outcome, str(Path(folder, page)), force)
        yield done
        entries.append(_entry(done, page))
    write_atomically(index, write_index(entries, form))


def index_page(folder: str, form: DocumentFormat) -> str:
    """Where the index of the reports in a folder is."""
    return str(Path(folder, f"index.{form}"))


def page_names(names: Sequence[str], form: DocumentFormat) -> list[str]:
    """A file's name for each target, beside that of the index; no two differ by case alone."""
    taken = {"index"}
    found = []
    for name in names:
        plain = stem = re.sub(r"[^\w.-]", "_", name).lstrip(".") or "_"
        count = 1
        while stem.casefold() in taken:
            count += 1
            stem = f"{plain}_{count}"
        taken.add(stem.casefold())
        found.append(f"{stem}.{form}")
    return found


def _describe(target: Target, status: Status, *, form: DocumentFormat) -> Outcome:
    from gradgen.project.describing import describe

    return describe(target, form, status)


def _written(outcome: Outcome, path: str, force: bool) -> Outcome:
    if outcome.new is None:
        return outcome
    try:
        require_output(path, is_report, force=force)
        changed = write_atomically(path, outcome.new)
    except GradgenError as error:
        return replace(outcome, state="error", findings=(error_finding(error),))
    return replace(outcome, output=path, state="written" if changed else "unchanged")


def _entry(outcome: Outcome, page: str) -> IndexRow:
    """A row of the index: the counts, or why there are none."""
    name, counts = str(outcome.target), outcome.counts
    if outcome.state == "error" or counts is None:
        problem = "; ".join(f.message for f in outcome.findings if f.kind == "error")
        return IndexRow(name, outcome.source, problem=problem)
    muls = Count(counts.forward_muls, counts.reverse_muls, counts.muls)
    ops = Count(counts.forward_ops, counts.reverse_ops, counts.ops)
    return IndexRow(name, outcome.source, page, muls, ops)
