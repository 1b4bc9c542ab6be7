"""The rule on arrays: when an array is exact. See docs/exactness.md."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from gradgen.verify.floats import Array, same_bits, ulp, widest
from gradgen.verify.rule import OWN, ULPS


@dataclass(frozen=True)
class Difference:
    """An element that is not what it should be."""

    kind: Literal["inexact", "nonfinite"]
    place: tuple[int, ...]
    expected: str
    got: str
    ulps: float


@dataclass(frozen=True)
class Judged:
    """How an array compares with what it should be."""

    compared: int
    one_finite: int
    """Of these: where only the other of JAX's modes is finite."""
    worst: float
    """The largest error, in ulps of the array's largest element; in eighths of what roundings
    allow if that is more."""
    difference: Difference | None = None


def judge_bits(found: Array, due: Array) -> Judged:
    """Whether the bits are the same; so has to be what is no float."""
    different = np.argwhere(~same_bits(found, due))
    if not len(different):
        return Judged(found.size, 0, 0.0)
    return Judged(found.size, 0, 0.0, _at("inexact", tuple(different[0]), found, due, 0.0))


def judge_array(
    found: Array,
    due: Array,
    own: Callable[[], float],
    other: Callable[[], Array | None] = lambda: None,
) -> Judged:
    """Whether floats are right up to roundings.

    `own` tells how far roundings move JAX's result, and `other` is the result of JAX's other mode;
    they are asked for where that matters.
    """
    a, b, dtype = widest(found), widest(due), str(due.dtype)
    with np.errstate(all="ignore"):
        ours, theirs = np.isfinite(a), np.isfinite(b)
        one_finite = np.zeros_like(theirs)
        if (ours & ~theirs).any() and (second := other()) is not None:
            one_finite = ~theirs & np.isfinite(widest(second))
            b = np.where(one_finite, widest(second), b)
        scale = np.abs(b[np.isfinite(b)]).max(initial=0.0)
        unit = float(ulp(np.asarray(scale), dtype))
        off = np.abs(a - b)
        known = (theirs | one_finite) & ours
        worst = float(off[known].max(initial=0.0))
        if worst > ULPS * unit:
            unit = max(unit, OWN * own() / ULPS)
        wrong = known & (off > ULPS * unit)
        lost = theirs & ~ours
    for bad, kind in ((wrong, "inexact"), (lost, "nonfinite")):
        if bad.any():
            first = np.unravel_index(int(np.argmax(np.where(bad, np.nan_to_num(off), -1))), a.shape)
            place = tuple(map(int, first))
            difference = _at(kind, place, a, b, float(off[place] / unit))  # type: ignore[arg-type]
            return Judged(int(known.sum()), int(one_finite.sum()), worst / unit, difference)
    return Judged(int(known.sum()), int(one_finite.sum()), worst / unit)


def _at(
    kind: Literal["inexact", "nonfinite"],
    place: tuple[int, ...],
    found: Array,
    due: Array,
    ulps: float,
) -> Difference:
    expected, got = (repr(array[place].item()) for array in (due, found))
    return Difference(kind, tuple(map(int, place)), expected, got, ulps)
