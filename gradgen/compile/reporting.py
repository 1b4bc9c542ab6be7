"""Reports on verified texts, whatever they are of."""

from __future__ import annotations

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_generation import VerifiedArrays, generate_arrays
from gradgen.compile.front import open_front, ranges_of
from gradgen.compile.generation import VerifiedText, generate_from
from gradgen.compile.status import Status
from gradgen.config import Settings
from gradgen.errors import error_in
from gradgen.frontend.tracing.blame import calling
from gradgen.report.array_collect import collect_arrays
from gradgen.report.collect import collect
from gradgen.report.model_report import ModelReport
from gradgen.verify.subject import ArraySubject
from gradgen.verify.times import Times


def report_from(settings: Settings, status: Status, *, measured: bool = False) -> ModelReport:
    """The report on a source file, whose text is generated and verified; with times if `measured`.

    Raises GradgenError where a step of neurons is to be measured.
    """
    front = open_front(settings)
    if isinstance(front, ArrayFront):
        arrays = generate_arrays(front, status)
        return report_on(arrays, times=_times(front, arrays, status) if measured else None)
    if measured:
        raise error_in(
            front.source,
            f"'{front.source.function}' is a step of neurons, of which nothing is measured: its "
            "time is that of the loop that it is in",
            hint="report on a loss that has the loop, or leave out --measure",
        )
    return report_on(generate_from(front, status))


def report_on(
    made: VerifiedText | VerifiedArrays, basis: str = "", times: Times | None = None
) -> ModelReport:
    """The report; `basis` is a remark about where the order comes from."""
    if isinstance(made, VerifiedArrays):
        return collect_arrays(made.module, made.text, made.report, basis, times)
    return collect(made.module, made.text, made.report, basis)


def _times(front: ArrayFront, made: VerifiedArrays, status: Status) -> Times:
    from gradgen.frontend.tracing.checkpointed import with_checkpoints
    from gradgen.verify.timing import time_arrays

    bind, without_objects = front.signature.bind, front.signature.without_objects
    subject = ArraySubject(made.module, front.function, bind, without_objects, text=made.text)
    with calling(front.source):
        return time_arrays(subject, with_checkpoints, ranges_of(front), status)
