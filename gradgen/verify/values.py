"""The rule for values: the generated code computes the source's bits."""

from __future__ import annotations

from typing import Any

import numpy as np

from gradgen.verify.floats import Array, ulp, widest

_REORDERED_ULPS = 4
"""What another order of sums may change, in units in the last place."""
_ROUNDED = 2**12
"""In the same units, what other roundings along the way may change."""
_FLIPPED = 0.02
"""The share of points at which that may flip a spike."""


def beyond_another_order(different: Array, ours: Any, source: Any, dtype: str) -> Array:
    """Of the points that differ, those where another order of sums is no excuse."""
    if np.asarray(ours).dtype.kind in "biu":
        far = different
    else:
        a, b = widest(ours), widest(source)
        with np.errstate(all="ignore"):
            size = np.fmax(np.abs(a), np.abs(b))
            far = different & ~(np.abs(a - b) <= _REORDERED_ULPS * ulp(size, dtype))
    return _many(far)


def another(found: Any, due: Any, dtype: str) -> Array:
    """The points at which two numbers are others, if these are more than flip by roundings."""
    return _many(differs(found, due, dtype))


def _many(far: Array) -> Array:
    return far if far.mean() > _FLIPPED else np.zeros_like(far)


def differs(found: Any, due: Any, dtype: str, scale: Array | None = None) -> Array:
    """The points at which two numbers are others, roundings apart; not where one is no number."""
    if np.asarray(due).dtype.kind in "biu":
        return np.asarray(found != due)
    a, b = widest(found), widest(due)
    with np.errstate(all="ignore"):
        size = np.fmax(np.abs(a), np.abs(b))
        if scale is not None:
            size = np.fmax(size, np.where(np.isfinite(scale), scale, 0.0))
        finite = np.isfinite(a) & np.isfinite(b)
        return np.asarray(finite & (np.abs(a - b) > _ROUNDED * ulp(size, dtype)))


def flips(values: Any, outputs: Any, shape: tuple[int, ...], dtype: str) -> Array:
    """The neurons at which a value differs by more than roundings, where that is allowed."""
    found = np.zeros(shape, bool)
    for a, b in zip(values, outputs, strict=True):
        if a.shape == shape and b.shape == shape:
            wide, due = widest(a), widest(b)
            with np.errstate(all="ignore"):
                unit = ulp(np.fmax(np.abs(wide), np.abs(due)), dtype)
                found |= (np.abs(wide - due) > _REORDERED_ULPS * unit) & np.isfinite(due)
    return found


def moved(found: Any, due: Any) -> bool:
    """Whether values differ by more than roundings."""
    a, b = widest(found), widest(due)
    with np.errstate(all="ignore"):
        return not np.allclose(a, b, rtol=1e-3, atol=1e-3 * float(np.max(np.abs(b), initial=0.0)))
