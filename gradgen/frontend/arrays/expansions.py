"""Primitives that move elements about, in terms of simpler ones: as JAX functions to be traced."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from gradgen.frontend.tracing.jax_compat import Eqn

Expansion = Callable[..., list[Any]]
"""What an equation computes, as a function of its operands."""


def expansion_of(eqn: Eqn) -> Expansion | None:
    """The equation in terms of simpler ones, if it is to be read so."""
    found = _EXPANSIONS.get(eqn.primitive.name)
    return None if found is None else found(eqn)


def slice_of(eqn: Eqn, places: Sequence[Any]) -> Expansion | None:
    """A gather of one window, whose place is known, as a slice; None for any other gather."""
    numbers, sizes = eqn.params["dimension_numbers"], eqn.params["slice_sizes"]
    promised = eqn.params["mode"] == lax.GatherScatterMode.PROMISE_IN_BOUNDS
    if not promised or eqn.invars[1].aval.ndim != 1 or numbers.operand_batching_dims:
        return None
    starts: list[Any] = [0] * len(sizes)
    for axis, place in zip(numbers.start_index_map, places, strict=True):
        starts[axis] = place
    limits = [start + size for start, size in zip(starts, sizes, strict=True)]
    ends = zip(limits, eqn.invars[0].aval.shape, strict=True)
    inside = all(_is_at_most(0, start) for start in starts)
    inside = inside and all(_is_at_most(limit, size) for limit, size in ends)

    def window(x: Any) -> Any:
        if inside:
            return lax.slice(x, starts, limits)
        # at some sizes there may be no such place: JAX takes the next that there is
        known = [jnp.maximum(start, 0) for start in starts]
        return lax.dynamic_slice(x, known, sizes, allow_negative_indices=False)

    return lambda x: [lax.squeeze(window(x), numbers.collapsed_slice_dims)]


def _is_at_most(one: Any, other: Any) -> bool:
    """Whether a size is so, whatever symbols stand for."""
    try:
        return bool(one <= other)
    except jax.errors.InconclusiveDimensionOperation:
        return False


def _split(eqn: Eqn) -> Expansion:
    """One slice for each part."""
    axis = eqn.params["axis"]

    def parts(x: Any) -> list[Any]:
        found, start = [], 0
        for size in eqn.params["sizes"]:
            found.append(lax.slice_in_dim(x, start, start + size, axis=axis))
            start = start + size
        return found

    return parts


def _reshape(eqn: Eqn) -> Expansion | None:
    """Axes in another order first, if that is asked for."""
    order, sizes = eqn.params["dimensions"], eqn.params["new_sizes"]
    return None if order is None else lambda x: [lax.reshape(lax.transpose(x, order), sizes)]


def _stack(eqn: Eqn) -> Expansion:
    """Each with an axis of size one more, one after the other."""
    axis = eqn.params["axis"]
    return lambda *parts: [lax.concatenate([lax.expand_dims(x, [axis]) for x in parts], axis)]


def _unstack(eqn: Eqn) -> Expansion:
    """One slice for each place, without its axis."""
    axis, places = eqn.params["axis"], range(len(eqn.outvars))
    return lambda x: [lax.index_in_dim(x, k, axis, keepdims=False) for k in places]


def _tile(eqn: Eqn) -> Expansion:
    """Stretched along an axis of its own before each that is repeated, which then takes it in."""
    reps = eqn.params["reps"]

    def tiled(x: Any) -> list[Any]:
        pairs = [(n, size) for n, size in zip(reps, x.shape, strict=True)]
        wide = [dim for n, size in pairs for dim in ((size,) if n == 1 else (n, size))]
        ends = [sum(1 if n == 1 else 2 for n, _ in pairs[: k + 1]) for k in range(len(pairs))]
        stretched = lax.broadcast_in_dim(x, wide, [end - 1 for end in ends])
        return [lax.reshape(stretched, [prod(pair) for pair in pairs])]

    return tiled


def _product(eqn: Eqn) -> Expansion | None:
    """Of floats with integers or truth values: they become floats first."""
    wanted = eqn.params["preferred_element_type"]
    dtypes = [v.aval.dtype for v in eqn.invars]
    if all(dtype == dtypes[0] for dtype in dtypes) or wanted not in dtypes:
        return None

    def product(left: Any, right: Any) -> list[Any]:
        left, right = (lax.convert_element_type(x, wanted) for x in (left, right))
        return [lax.dot_general(left, right, **eqn.params)]

    return product


_EXPANSIONS: dict[str, Callable[[Eqn], Expansion | None]] = {
    "dot_general": _product,
    "reshape": _reshape,
    "split": _split,
    "stack": _stack,
    "unstack": _unstack,
    "tile": _tile,
}
