"""Reports as documents: a page, Markdown, or JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict

from gradgen.report.dot import write_mermaid
from gradgen.report.formats import MARK, DocumentFormat
from gradgen.report.html import charts, dtypes_of, kinds_of, loop_charts, verified, write_html
from gradgen.report.model_report import ModelReport
from gradgen.report.templating import fill


def write_document(
    reports: Sequence[ModelReport], form: DocumentFormat, index: str | None = None
) -> str:
    """All reports in one document, with a link to the index that lists it, if there is one."""
    if form == "html":
        return write_html(reports, index)
    if form == "md":
        above = [] if index is None else [f"[All reports]({index})\n"]
        return "\n".join([f"<!-- {MARK} -->\n", *above, *(_markdown(report) for report in reports)])
    content = {"models": [asdict(report) for report in reports]}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _markdown(report: ModelReport) -> str:
    return fill(
        "model.md.jinja",
        report=report,
        ops=report.comparison("ops"),
        mermaid=write_mermaid(report.graph),
        charts=charts(report),
        loops=[(loop, write_mermaid(loop.graph), loop_charts(loop)) for loop in report.loops],
        dtypes=dtypes_of(report),
        verified=verified(report),
        kinds=kinds_of(report),
        fence=_fence,
    )


def _fence(text: str) -> str:
    """Backticks that the text does not end."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(3, longest + 1)
