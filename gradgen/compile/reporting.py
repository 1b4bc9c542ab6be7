"""Reports on verified texts, whatever they are of."""

from __future__ import annotations

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_generation import VerifiedArrays, generate_arrays
from gradgen.compile.front import open_front
from gradgen.compile.generation import Verified, generate_from
from gradgen.compile.status import Status
from gradgen.config import Settings
from gradgen.report.array_collect import collect_arrays
from gradgen.report.collect import collect
from gradgen.report.model_report import ModelReport


def generate(settings: Settings, status: Status) -> Verified | VerifiedArrays:
    """Generate and verify the text of a source file, for neurons or on arrays."""
    front = open_front(settings)
    if isinstance(front, ArrayFront):
        return generate_arrays(front, status)
    return generate_from(front, status)


def report_on(made: Verified | VerifiedArrays, basis: str = "") -> ModelReport:
    """The report; `basis` is a remark about where the order comes from."""
    if isinstance(made, VerifiedArrays):
        return collect_arrays(made.module, made.text, made.report, basis)
    return collect(made.module, made.text, made.report, basis)
