"""What a text is held against, asked of JAX while there is no text yet.

Points, and derivatives of the source at so many of them, depend on the source alone. These are
traced in threads of their own, beside the search for an order, and serve every text that is tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace

from gradgen.ir.trace import Trace
from gradgen.verify.compiling import precision
from gradgen.verify.floats import Array
from gradgen.verify.oracle import Oracle
from gradgen.verify.points import Range, cast, draw, input_ranges, stated_range
from gradgen.verify.subject import Called, TracedNeuron

BOUNDARY_POINTS = 280
"""At most so many points on boundaries; what is not used up is random points as well."""


@dataclass(frozen=True)
class Setting:
    """In what, and how widely, a text is compared."""

    dtype: str
    with_64_bits: bool
    structures: bool
    """Whether containers, shapes and dtypes are."""
    mixed: bool
    """Whether arrays of neurons are, of several shapes: in one of the dtypes."""
    optimised: bool
    """Whether programs are that XLA compiled as it likes: in float32."""


@dataclass(frozen=True)
class Asked:
    """What is asked of JAX about one source."""

    drawn: tuple[Array, ...]
    """The inputs at random points."""
    points: int
    """So many of them stay; the others may be replaced by points on boundaries."""
    seed: int
    stated: tuple[Range | None, ...]
    """The ranges of inputs, as far as they were stated."""
    oracles: Mapping[Setting, Future[Oracle]]
    """In the order in which settings are reported."""
    wide: Future[Oracle] | None
    """In float64; None if the source is compared in float32 alone."""


@contextmanager
def asking(
    *sources: Called[TracedNeuron],
    ranges: Mapping[str, Range] | None = None,
    dtypes: Sequence[str] = ("float32", "float64"),
    seed: int = 0,
    points: int = 1000,
) -> Iterator[tuple[Asked, ...]]:
    """Ask about sources, one after the other, as long as the context lasts.

    `ranges` are those of inputs by path; `points` is the number of random points in each dtype. A
    text for float32 alone is compared in that: without 64-bit types, and beside them if it runs so.
    An oracle raises GradgenError if JAX itself cannot differentiate its source.
    """
    pool = ThreadPoolExecutor(max_workers=2)
    try:
        yield tuple(_ask(pool, one, ranges or {}, dtypes, seed, points) for one in sources)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _ask(
    pool: ThreadPoolExecutor,
    called: Called[TracedNeuron],
    ranges: Mapping[str, Range],
    dtypes: Sequence[str],
    seed: int,
    points: int,
) -> Asked:
    trace = called.module.trace
    drawn = draw(trace, input_ranges(trace, ranges), points + BOUNDARY_POINTS, seed)

    def ask(dtype: str, with_64_bits: bool) -> Future[Oracle]:
        return pool.submit(_oracle, called, dtype, with_64_bits, cast(trace, drawn, dtype))

    wide = None if trace.single else ask("float64", True)
    oracles = {
        one: wide if wide and one.dtype == "float64" else ask(one.dtype, one.with_64_bits)
        for one in _settings(trace, dtypes)
    }
    stated = tuple(stated_range(i, ranges) for i in trace.inputs)
    return Asked(tuple(drawn), points, seed, stated, oracles, wide)


def _settings(trace: Trace, dtypes: Sequence[str]) -> list[Setting]:
    if not trace.single:
        widest = "float64" if "float64" in dtypes else dtypes[0]
        return [
            Setting(d, d == "float64", d == dtypes[0], mixed=d == widest, optimised=d == "float32")
            for d in dtypes
        ]
    alone = Setting("float32", with_64_bits=False, structures=True, mixed=True, optimised=True)
    if trace.precisions == "float32 by default":
        return [alone]
    return [alone, replace(alone, with_64_bits=True, mixed=False, optimised=False)]


def _oracle(
    called: Called[TracedNeuron], dtype: str, with_64_bits: bool, leaves: Sequence[Array]
) -> Oracle:
    with precision(dtype, with_64_bits=with_64_bits):
        return Oracle(called, leaves)
