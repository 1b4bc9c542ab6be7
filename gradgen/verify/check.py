"""Verifies a generated text against its source: the one entry point of this package."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial

from gradgen.ir.emitted import PROGRAMS
from gradgen.ir.own_names import METADATA, own_name
from gradgen.ir.program import count_operations
from gradgen.verify.asking import Asked, Setting
from gradgen.verify.compiling import precision
from gradgen.verify.generated import Generated, missing
from gradgen.verify.isolate import IsolationError, load, packages_of, share_programs
from gradgen.verify.ledger import Ledger
from gradgen.verify.points import numpy_dtype
from gradgen.verify.recount import recount
from gradgen.verify.run import Run
from gradgen.verify.structures import Structures
from gradgen.verify.subject import Subject, abstract
from gradgen.verify.verdict import Failure, Verdict

__all__ = ["Subject", "verify"]


def verify(subject: Subject, asked: Asked) -> Verdict:
    """Compare a text with JAX, by the rule of docs/exactness.md.

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
    run = partial(_run, generated, shared, asked)
    with ThreadPoolExecutor(max_workers=2) as pool:
        ledgers = list(pool.map(run, asked.oracles))
    return Verdict(
        points=len(asked.drawn[0]),
        boundary_points=sum(ledger.boundary_points for ledger in ledgers),
        skipped=sum(ledger.skipped for ledger in ledgers),
        tallies=tuple(tally for ledger in ledgers for tally in ledger.tallies.values()),
        failures=tuple(failure for ledger in ledgers for failure in ledger.failures),
        warnings=tuple(dict.fromkeys(w for ledger in ledgers for w in ledger.warnings)),
        lost=tuple(ledger.lost_points() for ledger in ledgers if ledger.lost),
    )


def _run(generated: Generated, shared: Generated, asked: Asked, setting: Setting) -> Ledger:
    dtype = setting.dtype
    with precision(dtype, with_64_bits=setting.with_64_bits):
        if setting.structures:
            neuron = [
                abstract((), numpy_dtype(i, dtype)) for i in generated.subject.module.trace.inputs
            ]
            failures = list(Structures(generated, neuron).failures())
            if failures:
                return Ledger(generated.subject, dtype, dtype, failures=failures)
        return Run(generated, shared, setting, asked).run()


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
