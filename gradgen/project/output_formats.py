"""Outcomes for people and for machines: text, JSON, GitHub's annotations, SARIF, Markdown."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gradgen.project.outcome import Finding, Outcome
from gradgen.version import __version__

_RULES = {
    "stale": "The generated file is not what gradgen writes today.",
    "over-budget": "The generated code takes more operations than its budget allows.",
    "inexact": "The generated code does not match JAX.",
    "orphan": "A generated file belongs to no target.",
    "error": "A target cannot be generated.",
    "warning": "Something about a source that is worth a look.",
}
"""What each kind of finding means."""


def as_json(outcomes: Sequence[Outcome], exit_code: int) -> str:
    """A JSON object: the exit code, and a list of targets with their findings and counts."""
    targets = [
        {
            "target": outcome.target,
            "source": outcome.source or None,
            "output": outcome.output,
            "state": outcome.state,
            "counts": None if outcome.counts is None else asdict(outcome.counts),
            "before": None if outcome.before is None else asdict(outcome.before),
            "findings": [
                {
                    "kind": finding.kind,
                    "message": finding.message,
                    "mend": finding.mend,
                    "path": finding.path,
                    "line": finding.line,
                    "column": None if finding.line is None else finding.column + 1,
                }
                for finding in outcome.findings
            ],
        }
        for outcome in outcomes
    ]
    document = {"version": __version__, "exit_code": exit_code, "targets": targets}
    return json.dumps(document, indent=2)


def as_annotations(outcomes: Sequence[Outcome]) -> list[str]:
    """GitHub's workflow commands: each shows at its file and line of a pull request."""
    return [_annotation(finding) for outcome in outcomes for finding in outcome.findings]


def _annotation(finding: Finding) -> str:
    level = "warning" if finding.kind == "warning" else "error"
    place: list[tuple[str, object]] = []
    if finding.path is not None:
        place.append(("file", _in_repository(finding.path)))
        if finding.line is not None:
            place += [("line", finding.line), ("col", finding.column + 1)]
    place.append(("title", f"gradgen: {finding.kind}"))
    properties = ",".join(f"{key}={_escaped(str(value), ':,')}" for key, value in place)
    return f"::{level} {properties}::{_escaped(_message(finding))}"


def _in_repository(path: str) -> str:
    """A path from the root of the checkout, as annotations need it, wherever gradgen runs."""
    here, root = Path(path).absolute(), os.environ.get("GITHUB_WORKSPACE")
    if root and here.resolve().is_relative_to(Path(root).resolve()):
        return here.resolve().relative_to(Path(root).resolve()).as_posix()
    return Path(path).as_posix()


def _escaped(text: str, also: str = "") -> str:
    """As GitHub's toolkit escapes the data and the properties of a command."""
    for character in ("%", "\r", "\n", *also):
        text = text.replace(character, f"%{ord(character):02X}")
    return text


def _message(finding: Finding) -> str:
    return finding.message if finding.mend is None else f"{finding.message}\n{finding.mend}"


def as_sarif(outcomes: Sequence[Outcome]) -> str:
    """A SARIF 2.1.0 log, as code scanning services read it."""
    results = [_result(finding) for outcome in outcomes for finding in outcome.findings]
    rules = [{"id": key, "shortDescription": {"text": text}} for key, text in _RULES.items()]
    driver = {"name": "gradgen", "version": __version__, "rules": rules}
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return json.dumps(log, indent=2)


def _result(finding: Finding) -> dict[str, Any]:
    rule = finding.kind.replace(" ", "-")
    result: dict[str, Any] = {
        "ruleId": rule,
        "ruleIndex": list(_RULES).index(rule),
        "level": "warning" if finding.kind == "warning" else "error",
        "message": {"text": _message(finding)},
    }
    if finding.path is not None:
        uri = quote(Path(finding.path).as_posix())
        physical: dict[str, Any] = {"artifactLocation": {"uri": uri}}
        if finding.line is not None:
            physical["region"] = {
                "startLine": finding.line,
                "startColumn": finding.column + 1,
            }
        result["locations"] = [{"physicalLocation": physical}]
    return result


def as_summary(outcomes: Sequence[Outcome]) -> str:
    """A Markdown table for a job's summary: counts now, before, forward, reverse."""
    lines = [
        "### gradgen",
        "",
        "| file | state | operations | before | forward | reverse "
        "| multiplications | before | forward | reverse |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for outcome in outcomes:
        cells = [f"`{outcome.output or outcome.source}`", outcome.state, *_cells(outcome)]
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    found = [finding for outcome in outcomes for finding in outcome.findings]
    if found:
        lines.append("")
    lines += [f"- **{f.kind}**: {_message(f)}".replace("\n", "<br>") for f in found]
    return "\n".join([*lines, ""])


def _shown(count: int | None) -> str:
    return "" if count is None else str(count)


def _cells(outcome: Outcome) -> list[str]:
    now, before = outcome.counts or outcome.before, outcome.before
    if now is None:
        return ["", "", "", ""] * 2
    then = ("", "") if before is None else (str(before.ops), str(before.muls))
    return [
        *(str(now.ops), then[0], _shown(now.forward_ops), _shown(now.reverse_ops)),
        *(str(now.muls), then[1], _shown(now.forward_muls), str(now.reverse_muls)),
    ]
