"""What comes of holding a text against its source."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.front import Front, ranges_of
from gradgen.errors import GradgenError, InexactError, error_in
from gradgen.files import keep_evidence
from gradgen.frontend.tracing.blame import calling
from gradgen.ir.emitted import HVP
from gradgen.ir.module import Module, SecondOrder
from gradgen.verify.asking import Asked, asking
from gradgen.verify.check import verify
from gradgen.verify.subject import Called, Subject
from gradgen.verify.verdict import Verdict


@contextmanager
def asking_about(front: Front) -> Iterator[tuple[Asked, ...]]:
    """Ask JAX about a source, and about its gradient where second derivatives are asked for.

    As long as the context lasts, texts can be judged by that.
    """
    fronts = [front] if front.settings.emit != (HVP,) else []
    if front.gradient is not None:
        fronts.append(front.gradient)
    sources = [Called(one, *_call_of(one)) for one in fronts]
    with calling(front.source), asking(*sources, ranges=ranges_of(front)) as asked:
        yield asked


def judge(front: Front, module: Module, text: str, asked: tuple[Asked, ...]) -> Verdict:
    """What comes of holding a text against its source, and second derivatives against its
    gradient."""
    subjects = [subject_of(front, module.first_order, text)]
    if front.gradient is not None and module.second is not None:
        second = subject_of(front.gradient, module.second, text)
        subjects = [*subjects, second] if module.first_order.functions else [second]
    first, *others = zip(subjects, asked, strict=True)
    verdict = verify(*first)
    for one in others if verdict.exact else ():
        verdict = verdict.with_more(verify(*one))
    return verdict


def subject_of(front: Front, module: Module | SecondOrder, text: str) -> Subject:
    """What is verified."""
    return Subject(module, *_call_of(front), text=text)


def _call_of(front: Front) -> tuple[Any, ...]:
    """How the source's function is called."""
    signature = front.signature
    return front.function, signature.bind, signature.without_objects, front.vmapped


def couples_neurons(front: Front) -> GradgenError:
    """The error for a source whose values agree, and whose derivatives are another's as well.

    Values are compared when the source is traced, so that derivative rules are left.
    """
    return error_in(
        front.source,
        f"a derivative rule in '{front.source.function}' does not do the same for each neuron of a "
        "population as for one",
        hint="it mixes neurons, or depends on the shape of its arguments; if the source is meant "
        "for one neuron and is vmapped by its callers, say so with --per-neuron",
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
