"""Floating-point numbers as such: bits, neighbours, units in the last place."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np

Array = np.ndarray[Any, Any]

UINTS = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


def widest(array: Any) -> Array:
    """The array in float64, exactly."""
    with np.errstate(invalid="ignore"):  # a NaN may be a signalling one
        return np.asarray(array).astype(np.float64)


def _finfo(dtype: str) -> Any:
    return jnp.finfo(dtype)  # type: ignore[no-untyped-call]


def epsilon(dtype: str) -> float:
    """The distance of 1 to the next number."""
    return float(_finfo(dtype).eps)


def tiny(dtype: str) -> float:
    """The smallest normal number; XLA may flush what is smaller to zero."""
    return float(_finfo(dtype).tiny)


def largest(dtype: str) -> float:
    """The largest finite number."""
    return float(_finfo(dtype).max)


def ulp(scale: Array, dtype: str) -> Array:
    """The unit in the last place of numbers of this size."""
    with np.errstate(all="ignore"):
        size = np.where(np.isfinite(scale), np.maximum(np.abs(scale), tiny(dtype)), np.inf)
        _, exponent = np.frexp(size)
        spacing = np.ldexp(epsilon(dtype), exponent - 1)
    return np.where(np.isinf(size), np.inf, spacing)


def same_bits(a: Any, b: Any) -> Array:
    """Where two arrays of one dtype are bit-identical; every nan equals every other."""
    x, y = np.asarray(a), np.asarray(b)
    if x.dtype != y.dtype:
        raise ValueError(f"{x.dtype} against {y.dtype}")
    if x.dtype.kind in "biu":
        return np.asarray(x == y)
    bits = UINTS[x.dtype.itemsize]
    x, y = np.broadcast_arrays(x, y)
    equal = np.array(x).view(bits) == np.array(y).view(bits)
    with np.errstate(invalid="ignore"):
        return np.asarray(equal | ((x != x) & (y != y)))


def ordinal(values: Array) -> Array:
    """Integers in the order of the floats: neighbours differ by one.

    What is very small is 0, as both zeros are: it stands for zero's side in any case, and the next
    number after zero is one whose products do not vanish in one program and stay in another. XLA
    takes numbers below the smallest normal one for zero on CPUs, and numpy does not.
    """
    width = values.dtype.itemsize
    signed = np.array(values).view(UINTS[width]).astype(np.int64)
    if width == 8:
        signed = np.array(values).view(np.int64)
    magnitude = signed & ((1 << (8 * width - 1)) - 1)
    negative = (signed < 0) if width == 8 else (signed >> (8 * width - 1)) == 1
    number = np.maximum(magnitude - _very_small(values.dtype), 0)
    return np.asarray(np.where(negative, -number, number))


def from_ordinal(numbers: Array, dtype: Any) -> Array:
    """The inverse of `ordinal`."""
    kind = np.dtype(dtype)
    bits = UINTS[kind.itemsize]
    magnitude = np.where(numbers == 0, 0, np.abs(numbers) + _very_small(kind)).astype(bits)
    sign = np.where(numbers < 0, 1, 0).astype(bits) << np.asarray(8 * kind.itemsize - 1, bits)
    return np.asarray((magnitude | sign).view(kind))


def _very_small(dtype: Any) -> int:
    """How many positive numbers are very small: less than what even the cube is normal of.

    In float16, which has no room for that, what is not normal itself.
    """
    kind = np.dtype(dtype)
    lowest = int(_finfo(str(kind)).minexp)
    first = np.asarray(2.0 ** max(lowest, min(-(-lowest // 3), -40)), kind)
    return int(first.view(UINTS[kind.itemsize])) - 1


def step(values: Array, count: int) -> Array:
    """The float `count` places further up, nothing that is not finite."""
    return from_ordinal(ordinal(values) + count, values.dtype)
