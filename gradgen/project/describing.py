"""The report on one target: with the order that its file records, so that it shows that file.

Nothing is written here, so that this can run in a process of its own.
"""

from __future__ import annotations

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_generation import VerifiedArrays, generate_arrays
from gradgen.compile.front import open_front
from gradgen.compile.generation import Kept, VerifiedText, generate_from
from gradgen.compile.graphs import graph_of
from gradgen.compile.reporting import report_on
from gradgen.compile.status import Status, mute
from gradgen.project.claims import credible_orders, credible_recipe
from gradgen.project.outcome import Finding, Outcome
from gradgen.project.record import committed, counts_of
from gradgen.project.target import Target
from gradgen.report.document import write_document
from gradgen.report.formats import DocumentFormat
from gradgen.targets.jax.seal import same_code


def describe(target: Target, form: DocumentFormat, status: Status = mute) -> Outcome:
    """Generate and verify a target and write its report, as the outcome's new text.

    Raises GradgenError if there is nothing to report on.
    """
    front = open_front(target.settings)
    old, record = committed(target.output)
    made: VerifiedText | VerifiedArrays
    if isinstance(front, ArrayFront):
        made = generate_arrays(front, status, credible_orders(record, front.settings))
    else:
        recipe = credible_recipe(record, target.settings, graph_of(front))
        made = generate_from(front, status, recipe)
    basis = _basis(target, made.kept, old is not None, same_code(old, made.text))
    report = report_on(made, basis)
    path = target.settings.path
    return Outcome(
        target.name,
        path,
        target.output,
        "different",
        tuple(Finding("warning", warning, path=path) for warning in made.report.warnings),
        basis,
        counts_of(made.module),
        new=write_document([report], form, f"index.{form}"),
    )


def _basis(target: Target, kept: Kept, there: bool, same: bool) -> str:
    """Where the order comes from, and whether the code is that of the target's file."""
    file, mend = target.output, f"`{target.command}` writes it"
    if not there:
        return f"there is no {file} yet ({mend}), so that the order was searched for"
    if kept == "kept":
        order = f"with the order that {file} records"
    else:
        order = f"the order was searched for, since {file} records none that can be used"
    return order if same else f"{order}; that file is not current ({mend} anew)"
