"""Whether the file of one target is current: traced, replayed, compared, verified; never searched.

Nothing is written here, so that this can run in a process of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.metadata import version

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_generation import judge_arrays, replayed_arrays
from gradgen.compile.front import Front, open_front
from gradgen.compile.generation import replayed
from gradgen.compile.graphs import graph_of
from gradgen.compile.status import Status
from gradgen.compile.verdict import asking_about, judge
from gradgen.ir.array_module import ArrayModule
from gradgen.ir.graph import FACE
from gradgen.ir.module import Module
from gradgen.ir.recipe import ArrayRecipe, Recipe
from gradgen.project.budgets import miscounted, over_budget
from gradgen.project.claims import credible_orders, credible_recipe
from gradgen.project.facts import facts_of, reasons
from gradgen.project.outcome import Finding, Outcome, State
from gradgen.project.record import Record, committed, counts_of
from gradgen.project.target import Target
from gradgen.targets.jax.render import render, render_arrays
from gradgen.targets.jax.seal import same_code, without_version
from gradgen.verify.verdict import Verdict
from gradgen.version import __version__


@dataclass(frozen=True)
class _Committed:
    """A target with its committed file and what its recipe gives today."""

    target: Target
    front: Front | ArrayFront
    record: Record
    recipe: Recipe | ArrayRecipe | None
    """What it records, as far as that can be believed."""
    module: Module | ArrayModule | None
    """None if the recipe is for another graph, or if there is none."""
    text: str | None
    """Of the module."""

    @property
    def is_current(self) -> bool:
        return same_code(self.text, self.record.text)

    def outcome(
        self,
        state: State,
        findings: tuple[Finding, ...],
        sentence: str = "",
        details: tuple[str, ...] = (),
    ) -> Outcome:
        target = self.target
        return Outcome(
            target.name,
            target.settings.path,
            target.output,
            state,
            findings,
            sentence,
            None if self.module is None else counts_of(self.module),
            self.record.counts,
            self.record.text,
            self.text,
            details,
        )


def inspect(target: Target, verified: bool, status: Status) -> Outcome:
    """Whether the file of a target is current; with `verified`, whether it is exact as well.

    Raises GradgenError if the source is at fault.
    """
    front = open_front(target.settings)
    old, record = committed(target.output)
    if record is None:
        return _missing(target, old)
    found = _replayed(target, front, record)
    if found.module is None or not found.is_current:
        return _stale(found)
    return _current(found, found.module, verified, status)


def _replayed(target: Target, front: Front | ArrayFront, record: Record) -> _Committed:
    if isinstance(front, ArrayFront):
        orders = credible_orders(record, target.settings)
        arrays = None if orders is None else replayed_arrays(front, orders)
        text = None if arrays is None else render_arrays(arrays)
        if arrays is not None and orders is not None:
            # replaying may have refuted that one is optimal
            same = arrays.recipe.by_graph.keys() == orders.by_graph.keys()
            orders = arrays.recipe if same else orders
        return _Committed(target, front, record, orders, arrays, text)
    graph = graph_of(front)
    recipe = credible_recipe(record, target.settings, graph)
    module = None if recipe is None else replayed(front, graph, recipe)
    text = None if module is None else render(module)
    return _Committed(target, front, record, recipe, module, text)


def _missing(target: Target, old: str | None) -> Outcome:
    what = "does not exist" if old is None else "was not written by gradgen"
    finding = Finding(
        "stale",
        f"{target.output} {what}",
        target.command,
        target.configuration,
        target.line("output"),
    )
    settings = target.settings
    return Outcome(target.name, settings.path, target.output, "stale", (finding,), old=old)


def _stale(committed: _Committed) -> Outcome:
    target, record, front = committed.target, committed.record, committed.front
    findings = reasons(target, record, facts_of(target))
    if not findings:
        findings = (_gradgen_changed(committed),)
    elif committed.module is None and record.recipe is not None:
        note = "; its graph is another one now, so that gradgen will search for an order again"
        findings = (replace(findings[0], message=findings[0].message + note), *findings[1:])
    lines = {front.source.path: front.source.position.line}
    if committed.text is not None and committed.recipe == record.recipe:
        lines[target.output or ""] = _first_difference(record.text, committed.text)
    placed = tuple(
        replace(found, line=lines.get(found.path or "", found.line)) for found in findings
    )
    over = () if record.counts is None else over_budget(target, record.counts)
    return committed.outcome("stale", (*placed, *over))


def _gradgen_changed(committed: _Committed) -> Finding:
    """Nothing that the file was made from has changed, and yet it would be another one."""
    target, record = committed.target, committed.record
    wrote = record.version
    if record.elimination == FACE:
        message = f"{target.output} has an order of faces, and gradgen eliminates none any more"
        line = record.line_of("elimination")
    elif record.recipe is None:
        message = f"gradgen changed: {wrote} did not record in {target.output} what is needed now"
        line = 1
    elif committed.text is None:
        message = (
            f"{target.output} is for another graph, though its source is the same: JAX "
            f"(now {version('jax')}) or gradgen traces it differently"
        )
        line = record.line_of("orders" if isinstance(record.recipe, ArrayRecipe) else "graph")
    elif committed.recipe != record.recipe:
        message = f"{target.output} calls its order optimal, and there is no proof of that"
        on_arrays = isinstance(record.recipe, ArrayRecipe)
        line = record.line_of("orders" if on_arrays else "proved_optimal")
    else:
        release = "" if wrote == __version__ else f" (it was {wrote}, it is {__version__})"
        message = (
            f"gradgen changed{release}, and writes another {target.output} for the same source"
        )
        line = _first_difference(record.text, committed.text)
    return Finding("stale", message, target.command, target.output, line)


def _first_difference(old: str, new: str) -> int:
    """The first line of the old text that is not in its place in the new one."""
    lines = zip(old.splitlines(), new.splitlines(), strict=False)
    for number, (before, after) in enumerate(lines, start=1):
        if before != after and without_version(before) != without_version(after):
            return number
    return 1


def _current(
    committed: _Committed, module: Module | ArrayModule, verified: bool, status: Status
) -> Outcome:
    target, front, counts = committed.target, committed.front, counts_of(module)
    over = over_budget(target, counts)
    wrong = None
    if isinstance(module, Module):
        wrong = miscounted(committed.record.text, committed.record.stated)
    if wrong is not None:
        over = (Finding("stale", f"counts differ: {wrong}", target.command, target.output), *over)
    state: State = "stale" if wrong is not None else "over budget" if over else "current"
    sentence = f"{counts.ops} operations, {counts.muls} multiplications"
    if not verified:
        return committed.outcome(state, over, f"{sentence}; not verified")
    status(f"verifying {front.source.function}")
    report = _judged(front, module, committed.record.text)
    path, line = front.source.path, front.source.position.line
    found = [Finding("warning", warning, path=path) for warning in report.warnings]
    if not report.exact:
        state = "inexact"
        message = f"{target.output} does not match JAX: {report.summary()}"
        mend = f"{target.command} --search-again"
        found.append(Finding("inexact", message, mend, path, line))
    return committed.outcome(
        state, (*found, *over), f"{sentence}; {report.summary()}", (report.pretty(),)
    )


def _judged(front: Front | ArrayFront, module: Module | ArrayModule, text: str) -> Verdict:
    """What comes of holding a committed text against its source."""
    if isinstance(front, Front):
        assert isinstance(module, Module)
        with asking_about(front) as asked:
            return judge(front, module, text, asked)
    assert isinstance(module, ArrayModule)
    return judge_arrays(front, module, text, quick=True)
