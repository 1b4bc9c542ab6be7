"""What comes of holding a text against its source."""

from __future__ import annotations

from collections.abc import Mapping

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.front import Front
from gradgen.errors import GradgenError, InexactError
from gradgen.files import keep_evidence
from gradgen.frontend.tracing.blame import calling
from gradgen.ir.module import Module, SecondOrder
from gradgen.verify.check import verify
from gradgen.verify.points import Range
from gradgen.verify.subject import Subject
from gradgen.verify.verdict import Verdict


def judge(front: Front, module: Module, text: str, ranges: Mapping[str, Range]) -> Verdict:
    """What comes of holding a text against its source, and second derivatives against its
    gradient."""
    subjects = [subject_of(front, module.first_order, text)]
    if front.gradient is not None and module.second is not None:
        second = subject_of(front.gradient, module.second, text)
        subjects = [*subjects, second] if module.first_order.functions else [second]
    with calling(front.source):
        verdict = verify(subjects[0], ranges=ranges)
        for subject in subjects[1:] if verdict.exact else ():
            verdict = verdict.with_more(verify(subject, ranges=ranges))
        return verdict


def subject_of(front: Front, module: Module | SecondOrder, text: str) -> Subject:
    """What is verified."""
    signature = front.signature
    return Subject(
        text, module, front.function, signature.bind, signature.without_objects, front.vmapped
    )


def couples_neurons(front: Front) -> GradgenError:
    """The error for a source whose values agree, and whose derivatives are another's as well.

    Values are compared when the source is traced, so that derivative rules are left.
    """
    return GradgenError(
        f"a derivative rule in '{front.source.function}' does not do the same for each neuron of a "
        "population as for one",
        hint="it mixes neurons, or depends on the shape of its arguments; if the source is meant "
        "for one neuron and is vmapped by its callers, say so with --per-neuron",
        path=front.source.path,
        line=front.source.position.line,
        column=front.source.position.column,
    )


def inexact(front: Front | ArrayFront, text: str, report: Verdict) -> InexactError:
    """The error for a text that is off, with the evidence kept."""
    folder = keep_evidence(text, report.pretty())
    return InexactError(
        f"the generated code does not match JAX: {report.summary()}",
        hint=f"nothing was written; the text and the report are in {folder}; please report this",
        path=front.source.path,
        line=front.source.position.line,
        column=front.source.position.column,
    )
