"""Verifies a generated text against its source: the one entry point of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from gradgen.ir.emitted import PROGRAMS
from gradgen.ir.own_names import METADATA, own_name
from gradgen.ir.program import count_operations
from gradgen.ir.trace import Trace
from gradgen.verify.compiling import choose_compiler, precision
from gradgen.verify.floats import Array
from gradgen.verify.generated import Generated, missing
from gradgen.verify.isolate import IsolationError, load, packages_of, share_programs
from gradgen.verify.ledger import Ledger
from gradgen.verify.oracle import Oracle
from gradgen.verify.points import (
    Range,
    cast,
    draw,
    input_ranges,
    numpy_dtype,
    stated_range,
)
from gradgen.verify.recount import recount
from gradgen.verify.run import BOUNDARY_POINTS, Run
from gradgen.verify.structures import Structures
from gradgen.verify.subject import Subject, abstract
from gradgen.verify.verdict import Failure, Verdict

__all__ = ["Subject", "verify"]


def verify(
    subject: Subject,
    *,
    ranges: Mapping[str, Range] | None = None,
    dtypes: Sequence[str] = ("float32", "float64"),
    seed: int = 0,
    points: int = 1000,
) -> Verdict:
    """Compare a text with JAX, by the rule of docs/exactness.md.

    `ranges` are those of inputs by path; `points` is the number of random points in each dtype. A
    text for float32 alone is compared in that: without 64-bit types, and beside them if it runs so.
    Raises GradgenError if JAX itself cannot differentiate the source, or if the source is another
    function once it is differentiated.
    """
    try:
        also = packages_of(subject.module.source.text)
        generated = Generated(subject, load(subject.text, also))
        shared = Generated(subject, share_programs(load(subject.text, also)))
    except IsolationError as error:
        return _refused(Failure("inexact", "import", str(error)))
    failures = [*_counts(generated), *missing(generated)]
    if failures:
        return _refused(*failures)
    trace = subject.module.trace
    ranges = ranges or {}
    drawn = draw(trace, input_ranges(trace, ranges), points + BOUNDARY_POINTS, seed)
    stated = [stated_range(i, ranges) is not None for i in trace.inputs]
    settings = _settings(trace, dtypes)
    with ThreadPoolExecutor(max_workers=2) as pool:
        wide = None
        if not trace.single:
            wide = pool.submit(_wide_oracle, subject, cast(trace, drawn, "float64"))
        runs = {
            setting: pool.submit(
                _run, generated, shared, setting, drawn, stated, points, seed, wide
            )
            for setting in sorted(settings, key=lambda setting: setting.with_64_bits)
        }
        ordered = [runs[setting].result() for setting in settings]
    return Verdict(
        points=len(drawn[0]),
        boundary_points=sum(ledger.boundary_points for ledger in ordered),
        skipped=sum(ledger.skipped for ledger in ordered),
        tallies=tuple(tally for ledger in ordered for tally in ledger.tallies.values()),
        failures=tuple(failure for ledger in ordered for failure in ledger.failures),
        warnings=tuple(dict.fromkeys(w for ledger in ordered for w in ledger.warnings)),
        lost=tuple(ledger.lost_points() for ledger in ordered if ledger.lost),
    )


@dataclass(frozen=True)
class _Setting:
    """In what, and how widely, a text is compared."""

    dtype: str
    with_64_bits: bool
    structures: bool
    """Whether containers, shapes and dtypes are."""
    populations: bool
    """Whether arrays of neurons are."""


def _settings(trace: Trace, dtypes: Sequence[str]) -> list[_Setting]:
    if not trace.single:
        return [_Setting(d, d == "float64", d == dtypes[0], populations=True) for d in dtypes]
    alone = _Setting("float32", with_64_bits=False, structures=True, populations=True)
    if trace.precisions == "float32 by default":
        return [alone]
    return [alone, replace(alone, with_64_bits=True, populations=False)]


def _wide_oracle(subject: Subject, leaves: Sequence[Array]) -> Oracle:
    with precision("float64"):
        return Oracle(subject, choose_compiler(subject, leaves), leaves)


def _run(
    generated: Generated,
    shared: Generated,
    setting: _Setting,
    drawn: Sequence[Array],
    stated: Sequence[bool],
    points: int,
    seed: int,
    wide: Future[Oracle] | None,
) -> Ledger:
    dtype = setting.dtype
    with precision(dtype, with_64_bits=setting.with_64_bits):
        if setting.structures:
            neuron = [
                abstract((), numpy_dtype(i, dtype)) for i in generated.subject.module.trace.inputs
            ]
            failures = list(Structures(generated, neuron).failures())
            if failures:
                return Ledger(generated.subject, dtype, dtype, failures=failures)
        run = Run(generated, shared, dtype, drawn, stated, points, seed, wide)
        return run.run(populations=setting.populations)


def _refused(*failures: Failure) -> Verdict:
    return Verdict(0, 0, 0, (), failures, ())


def _counts(generated: Generated) -> list[Failure]:
    """The counts in the text, in GRADGEN and in the programs agree."""
    module = generated.subject.module
    loaded = vars(generated.loaded)
    stated = loaded[own_name(METADATA, loaded)]["counts"]
    recounted = recount(generated.subject.text)
    failures = []
    for key, program in module.programs.items():
        function = own_name(PROGRAMS[key].function, recounted)
        if function not in recounted:
            continue
        counted = count_operations(program.instructions).as_dict()
        claimed = {kind: n for kind, n in stated[key].items() if isinstance(n, int)}
        different = recounted[function].differs_from(counted)
        if different is None and claimed != counted:
            different = f"GRADGEN states {claimed}, the program has {counted}"
        if different is not None:
            failures.append(Failure("inexact", function, f"counts differ: {different}"))
    return failures
