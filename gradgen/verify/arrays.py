"""Verifies a generated text on arrays against its source."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from gradgen.errors import error_in
from gradgen.ir.array_module import ArrayModule
from gradgen.verify.array_ledger import ArrayLedger
from gradgen.verify.array_points import (
    Sizes,
    abstract_leaves,
    choose_sizes,
    draw_samples,
    has_long_loops,
    shown,
    why_not_at,
)
from gradgen.verify.array_recount import miscounted
from gradgen.verify.array_trial import Trial
from gradgen.verify.compiling import precision
from gradgen.verify.generated import Generated, missing
from gradgen.verify.guards import unguarded
from gradgen.verify.isolate import IsolationError, load, packages_of
from gradgen.verify.points import Range
from gradgen.verify.structures import Structures
from gradgen.verify.subject import ArraySubject, Call
from gradgen.verify.verdict import Failure, Verdict

_SETS = 3
"""Of sizes."""
_MOST_ELEMENTS = 2**26
"""Of one argument."""


def verify_arrays(
    text: str,
    module: ArrayModule,
    function: Callable[..., Any],
    bind: Callable[[Sequence[Any]], Call],
    without_objects: Callable[[Any], Any] = lambda tree: tree,
    *,
    ranges: Mapping[str, Range] | None = None,
    dtypes: Sequence[str] = ("float32", "float64"),
    quick: bool = False,
    seed: int = 0,
) -> Verdict:
    """Compare a text with JAX, by the rule for arrays of docs/exactness.md.

    `function` is the source's, `bind` makes the arguments of a call of flat leaves, and
    `without_objects` tuples of objects; `ranges` are those of inputs by path. `quick` takes one set
    of sizes and the first dtype.
    """
    subject = ArraySubject(module, function, bind, without_objects, text=text)
    try:
        generated = Generated(subject, load(text, packages_of(module.source.text)))
    except IsolationError as error:
        return _verdict([ArrayLedger("", [Failure("inexact", "import", str(error))])])
    if failures := missing(generated):
        return _verdict([ArrayLedger("", failures)])
    run = partial(_in_dtype, generated, ranges or {}, quick, seed)
    dtypes = ("float32",) if module.trace.single else dtypes
    chosen = dtypes[:1] if quick else dtypes
    with ThreadPoolExecutor(max_workers=2) as pool:
        ledgers = list(pool.map(run, chosen, [dtype == chosen[0] for dtype in chosen]))
    return _verdict(ledgers)


def _verdict(ledgers: Sequence[ArrayLedger]) -> Verdict:
    return Verdict(
        points=max(ledger.samples for ledger in ledgers),
        boundary_points=sum(ledger.on_ties for ledger in ledgers),
        skipped=0,
        tallies=tuple(tally for ledger in ledgers for tally in ledger.tallies.values()),
        failures=tuple(failure for ledger in ledgers for failure in ledger.failures),
        warnings=tuple(dict.fromkeys(w for ledger in ledgers for w in ledger.warnings)),
        counted="sets of arguments",
    )


def _in_dtype(
    generated: Generated,
    ranges: Mapping[str, Range],
    quick: bool,
    seed: int,
    dtype: str,
    first: bool,
) -> ArrayLedger:
    """Everything in one dtype; what does not depend on that in the first one."""
    subject: ArraySubject = generated.subject
    ledger = ArrayLedger(dtype)
    with precision(dtype):
        sets = choose_sizes(subject, dtype)
        _require_small(subject, sets, dtype)
        _require_running(subject, sets[0], dtype)
        if len(sets) < _SETS and any(sets):
            only = "; ".join(map(shown, sets))
            ledger.warnings.append(f"the source runs at few sizes: it was compared at {only}")
        leaves = abstract_leaves(subject.module.trace, sets[0], dtype)
        ledger.failures += Structures(generated, leaves).failures()
        if first:
            ledger.failures += [*unguarded(generated, sets[0], dtype), *miscounted(generated)]
        for number, sizes in enumerate(sets[:1] if quick else sets):
            if ledger.failures:
                break
            samples = draw_samples(subject, sizes, dtype, ranges, seed)
            if has_long_loops(subject, sizes):
                samples = samples[:1]
            trial = Trial(generated, ledger, sizes, samples, scanned=number == 0, mapped=False)
            mapped = replace(trial, mapped=number == 1)
            (mapped if mapped.is_possible else trial).run()
    return ledger


def _require_running(subject: ArraySubject, sizes: Sizes, dtype: str) -> None:
    """Refuse a source that runs at none of the sizes that are tried, of which these are one set."""
    source, why = subject.module.source, why_not_at(subject, sizes, dtype)
    if why is not None:
        raise error_in(
            source,
            f"'{source.function}' does not run at {shown(sizes)}: {why}",
            hint="say at which sizes it does, as in # gradgen: size batch=32 n=256, or state axes "
            "that the code fixes as numbers",
        )


def _require_small(subject: ArraySubject, sets: Sequence[Sizes], dtype: str) -> None:
    """Refuse arrays that cannot be computed with, since the source fixes their sizes."""
    source, trace = subject.module.source, subject.module.trace
    for sizes in sets:
        for leaf, given in zip(trace.inputs, abstract_leaves(trace, sizes, dtype), strict=True):
            if math.prod(given.shape) > _MOST_ELEMENTS:
                raise error_in(
                    source,
                    f"'{leaf.path}' has the shape {given.shape}, which is too much to compare "
                    "with JAX",
                    hint="state axes by names, as in # gradgen: shape x=(batch, n): few are enough",
                )
