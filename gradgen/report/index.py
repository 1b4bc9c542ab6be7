"""The table of several reports: what each model takes, and where its report is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from gradgen.report.formats import DocumentFormat
from gradgen.report.model_report import ModelReport
from gradgen.report.templating import fill


@dataclass(frozen=True)
class Count:
    """What a model takes of something."""

    forward: float | None
    """None where that is not known, or impossible."""
    reverse: float | None
    found: float

    @property
    def saved(self) -> float | None:
        """What it takes less than in reverse mode; negative if it takes more."""
        return None if self.reverse is None else self.reverse - self.found

    @property
    def share(self) -> str:
        """The same in per cent; empty where reverse mode takes nothing."""
        return f"{1 - self.found / self.reverse:.0%}" if self.reverse else ""


@dataclass(frozen=True)
class IndexRow:
    """A row of the table."""

    name: str
    source: str
    page: str | None = None
    """What the row leads to; None if there is no report."""
    muls: Count | None = None
    """Multiplications of the accumulation."""
    ops: Count | None = None
    """Operations of value and Jacobian; on arrays, of value and vector-Jacobian product."""
    problem: str = ""
    """Why there is no report."""


def entry_of(report: ModelReport, page: str) -> IndexRow:
    """The row of a report."""
    muls, ops = (
        Count(found.forward, found.reverse, found.best)
        for found in (report.comparison("muls"), report.comparison("ops"))
    )
    return IndexRow(report.function, report.source_name, page, muls, ops)


def write_index(entries: Sequence[IndexRow], form: DocumentFormat) -> str:
    """The table as a document of its own."""
    if form == "json":
        content = {"models": [_document(entry) for entry in entries]}
        return json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    return fill(f"index.{form}.jinja", entries=entries)


def _document(entry: IndexRow) -> dict[str, object]:
    document = asdict(entry)
    for key, count in (("muls", entry.muls), ("ops", entry.ops)):
        if count is not None:
            document[key]["saved"] = count.saved
    return document
