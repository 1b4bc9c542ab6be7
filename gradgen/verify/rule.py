"""The rule: when a derivative is exact. See docs/exactness.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradgen.verify.floats import Array, largest, ulp

ULPS = 8
"""How far a derivative may be from the reference, in units in the last place of its scale."""

OWN = 4
"""By how much more than roundings move JAX's own result a derivative may be off."""
_CANCELLATION = 4096
"""By how much the scale may exceed a derivative without forgiving too much."""
_TIGHT = 1 / 16
"""The share of points at which it has to be no larger than that, or is cut off."""
_CONVENTION = 1e-3
"""Modes that are further apart on a tie, relative to the scale, follow different conventions."""


@dataclass(frozen=True)
class Expected:
    """What one derivative should be, at every point; all in float64."""

    modes: tuple[Array, ...]
    """By each of JAX's modes that there are, in the working dtype."""
    true: tuple[Array, ...]
    """By each mode in float64, at the same points; empty if the working dtype is float64."""
    scale: Array
    """The size of what is added up."""
    on_tie: Array
    """Whether a point was made to lie on or beside a tie, where precisions may take sides."""
    skipped: Array
    """Whether a point is not compared."""


@dataclass(frozen=True)
class Judgement:
    """How a derivative compares with what it should be."""

    compared: int
    one_finite: int
    worst: float
    """The largest error in ulps of the scale, or in quarters of JAX's own error if that is more."""
    wrong: int | None = None
    """A point at which another finite number came out."""
    overflowed: int | None = None
    """A point at which no finite number came out, though both of JAX's modes are finite."""
    error: float = 0.0
    """At that point, in ulps of the scale."""
    lost: tuple[int, ...] = ()
    """All points at which no finite number came out, though one of JAX's modes is finite."""


def judge(found: Array, expected: Expected, dtype: str, growth: float = 1.0) -> Judgement:
    """Compare what was found with what it should be.

    `growth` widens the tolerance of rounding where paths are very long.
    """
    with np.errstate(all="ignore"):
        modes = [np.where(np.abs(m) > largest(dtype), np.inf, m) for m in expected.modes]
        finite = np.isfinite(modes)
        every, some = finite.all(0) & ~expected.skipped, finite.any(0) & ~expected.skipped
        ours = np.isfinite(found)
        sizes = np.where(finite, np.abs(modes), 0.0)
        unit = ulp(np.fmax(_known(expected.scale), sizes.max(0)), dtype)
        allowed = ULPS * growth * unit
        own = 2 * own_error(modes, expected)
        tolerance = np.fmax(allowed, own)
        off = distance(found, modes)
        truly = np.where(expected.on_tie, np.inf, distance(found, expected.true))
        exact = (off <= tolerance) | (truly <= allowed)
        wrong = np.flatnonzero(some & ours & ~exact)
        overflowed = np.flatnonzero(every & ~ours)
        fine = some & ours & exact
        errors = np.where(np.isinf(unit), 0.0, off / np.fmax(unit, own / ULPS))
    bad = wrong if len(wrong) else overflowed
    first = int(bad[0]) if len(bad) else None
    return Judgement(
        compared=int(some.sum()),
        one_finite=int((some & ~every).sum()),
        worst=float(errors[fine].max(initial=0.0)),
        wrong=int(wrong[0]) if len(wrong) else None,
        overflowed=int(overflowed[0]) if len(overflowed) else None,
        error=float(errors[first]) if first is not None else 0.0,
        lost=tuple(np.flatnonzero(some & ~ours).tolist()),
    )


def own_error(modes: Sequence[Array], expected: Expected) -> Array:
    """JAX's own error: how far its modes are from the truth, and from each other.

    On a tie the other precision may be on the other side, so there only the modes are compared.
    """
    error = np.zeros(np.shape(expected.scale))
    if len(modes) > 1:
        apart = _finite(np.ptp(modes, axis=0))
        convention = expected.on_tie & (apart > _CONVENTION * np.abs(_known(expected.scale)))
        error = np.fmax(error, np.where(convention, 0.0, apart))
    for mode in modes:
        if expected.true:
            away = np.where(expected.on_tie, 0.0, distance(mode, expected.true))
            error = np.fmax(error, _finite(away))
    return error


def distance(found: Array, references: Sequence[Array]) -> Array:
    """How far a number is from the nearest reference that is finite."""
    nearest = np.full(np.shape(found), np.inf)
    for reference in references:
        away = np.abs(found - reference)
        nearest = np.fmin(nearest, np.where(np.isfinite(away), away, np.inf))
    return nearest


def _finite(values: Array) -> Array:
    return np.where(np.isfinite(values), values, 0.0)


def credible(scale: Array, modes: Sequence[Array], dtype: str) -> Array:
    """The scales of derivatives by all their values, with the points on the last axis.

    Where much cancels at some points, roundings are as large as the scale says. Where the scale is
    far above a derivative at nearly all points, the paths are so long that the sum of absolute
    values outgrows every error there is, and would forgive anything; it is cut off then. But where
    all that JAX has is within rounding of zero, that is what it is: of y / y, say.
    """
    with np.errstate(all="ignore"):
        sizes = np.max([np.where(np.isfinite(m), np.abs(m), 0.0) for m in modes], axis=0)
        tight = np.mean(scale <= _CANCELLATION * sizes, axis=-1, keepdims=True) >= _TIGHT
        largest_value = sizes.max(axis=-1, keepdims=True, initial=0.0)
        nothing = (sizes <= ULPS * ulp(scale, dtype)).all(-1, keepdims=True)
        kept = tight | nothing | (largest_value == 0)
        bound = np.where(kept, np.inf, _CANCELLATION * largest_value)
        return np.asarray(np.fmin(_known(scale), bound))


def _known(scale: Array) -> Array:
    return np.where(np.isnan(scale), 0.0, scale)
