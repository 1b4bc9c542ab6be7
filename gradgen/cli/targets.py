"""What `gradgen` and `gradgen --check` do with their targets, and what they print."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from gradgen.cli.terminal import Terminal, printing, tell
from gradgen.errors import GradgenError
from gradgen.project.build import build
from gradgen.project.check import check, orphans
from gradgen.project.outcome import Outcome, worst
from gradgen.project.output_formats import as_annotations, as_json, as_sarif, as_summary
from gradgen.project.target import Target


@dataclass(frozen=True)
class Request:
    """What is to be done with targets."""

    targets: Sequence[Target]
    outputs: frozenset[Path] = frozenset()
    """Where all targets of the configuration write, if all are asked for: to find orphans."""
    check: bool = False
    diff: bool = False
    verified: bool = True
    search_again: bool = False
    force: bool = False
    output_format: str = "text"
    verbose: bool = False
    debug: bool = False


def carry_out(request: Request, terminal: Terminal) -> int:
    """Build or check, print what came of it, and return the exit code."""
    outcomes = []
    for outcome in (*_outcomes(request, terminal), *_orphans(request)):
        outcomes.append(outcome)
        if request.output_format == "text":
            terminal.stop()
            _print(request, outcome, terminal)
    terminal.stop()
    code = _exit_code(request, outcomes)
    match request.output_format:
        case "json":
            _put(as_json(outcomes, code) + "\n")
        case "sarif":
            _put(as_sarif(outcomes) + "\n")
        case "github":
            _put("".join(f"{line}\n" for line in as_annotations(outcomes)))
            _append_summary(as_summary(outcomes))
        case _ if len(outcomes) > 1:
            terminal.say(_total(outcomes))
    return code


def _outcomes(request: Request, terminal: Terminal) -> Iterator[Outcome]:
    if request.check:
        return check(
            request.targets, terminal.status, verified=request.verified, debug=request.debug
        )
    return build(
        request.targets,
        terminal.status,
        search_again=request.search_again,
        write=not request.diff,
        force=request.force,
        debug=request.debug,
    )


def _orphans(request: Request) -> Iterator[Outcome]:
    return orphans(set(request.outputs))


def _exit_code(request: Request, outcomes: Sequence[Outcome]) -> int:
    """The worst; orphans are no fault of a build, which leaves them alone."""
    if request.check:
        return worst(outcomes)
    return worst([outcome for outcome in outcomes if outcome.state != "orphan"])


def print_findings(outcome: Outcome, terminal: Terminal) -> None:
    """What was found; with quiet, errors alone."""
    for finding in outcome.findings:
        if finding.kind == "warning":
            terminal.say(finding.pretty())
        else:
            tell(finding.pretty())


def _print(request: Request, outcome: Outcome, terminal: Terminal) -> None:
    print_findings(outcome, terminal)
    if request.diff:
        _put(difference(outcome))
    if outcome.output is None and outcome.new is not None:
        _put(outcome.new)
    if request.verbose:
        terminal.say("\n".join(outcome.details))
    dull = len(request.targets) > 1 and outcome.state in ("current", "unchanged")
    if outcome.sentence and (request.verbose or not dull):
        name = "" if outcome.output is None else f"{outcome.output}: {outcome.state}, "
        terminal.say(f"{name}{outcome.sentence}")


def _put(text: str) -> None:
    with printing():
        click.echo(text, nl=False)


def difference(outcome: Outcome) -> str:
    """What a build would change, as a unified diff."""
    if outcome.new is None or outcome.state not in ("different", "stale"):
        return ""
    name = (outcome.output or "").replace(os.sep, "/")
    lines = difflib.unified_diff(
        (outcome.old or "").splitlines(keepends=True),
        outcome.new.splitlines(keepends=True),
        f"a/{name}" if outcome.old is not None else "/dev/null",
        f"b/{name}",
    )
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _append_summary(text: str) -> None:
    """Where GitHub shows it on the page of the job."""
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if path:
        try:
            with open(path, "a", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise GradgenError(f"cannot write the summary: {error.strerror}", path=path) from None


def _total(outcomes: Sequence[Outcome]) -> str:
    """How many targets are in which state."""
    states = [outcome.state for outcome in outcomes]
    counted = ", ".join(f"{states.count(state)} {state}" for state in dict.fromkeys(states))
    return f"{len(outcomes)} files: {counted}"
