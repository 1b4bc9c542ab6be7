"""Whether a function takes any number of axes in front, as `...` in a shape says of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradgen.errors import GradgenError, error_in
from gradgen.frontend.arrays.stated import Stated
from gradgen.frontend.tracing import jax_compat
from gradgen.frontend.tracing.load import importable_beside
from gradgen.frontend.tracing.signature import Signature
from gradgen.frontend.tracing.values import dtype_of
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import DType
from gradgen.ir.shapes import LEADING, Shape, axes_in, names_in, own_axes, shape_as_stated, size
from gradgen.ir.source import Source

_FRONTS = {"no axis": (), "two axes": (3, 2)}
_SIZES = (2, 3, 4, 6, 9, 30)
"""Where the sizes of other axes begin: the first at which the function runs are taken."""


def require_any_front(
    source: Source,
    function: Callable[..., Any],
    signature: Signature,
    stated: Stated,
    trace: ArrayTrace,
) -> None:
    """Make sure that a function does the same with no axis and with two in front as with one.

    Raises GradgenError where it does not, as far as its results on some numbers tell; of files that
    are written, verification tells.
    """
    if not any(LEADING in shape for shape in stated.shapes):
        return
    for shape in (*stated.shapes, *trace.output_shapes):
        if any(LEADING in names_in(dim) for dim in own_axes(shape)):
            shown = shape_as_stated(shape)
            raise _refused(source, f"has an array with them elsewhere, of shape {shown}")

    def results(leaves: Sequence[Any]) -> list[Any]:
        return jax.tree.leaves(signature.call(function, leaves))

    with jax_compat.x64(False), importable_beside(source.path):
        for words, front in _FRONTS.items():
            number = int(np.prod(front))
            flat = next((x for x in _drawn(stated, number) if _runs(results, x)), None)
            if flat is None:
                return
            leaves = [_with(front, x, s) for x, s in zip(flat, stated.shapes, strict=True)]
            try:
                found = results(leaves)
            except Exception as error:
                what = f"{type(error).__name__}: {error}".split("\n", 1)[0]
                raise _refused(source, f"fails with {words} in its place: {what}") from error
            shaped = zip(results(flat), trace.output_shapes, strict=True)
            due = [_with(front, x, shape) for x, shape in shaped]
            if not all(map(_alike, found, due)):
                raise _refused(source, f"does something else with {words} in its place")


def _drawn(stated: Stated, number: int) -> Iterator[list[Any]]:
    """Arguments with one axis in front, of that size."""
    names = [name for name in axes_in(stated.shapes) if name != LEADING]
    for first in _SIZES:
        sizes = {name: first + k for k, name in enumerate(names)} | {LEADING: number}
        chance = np.random.default_rng(0)
        yield [
            _values(chance, tuple(size(dim, sizes) for dim in shape), dtype)
            for shape, dtype in zip(stated.shapes, stated.dtypes, strict=True)
        ]


def _values(chance: np.random.Generator, shape: tuple[int, ...], dtype: DType) -> Any:
    if dtype == "key":
        return jax.random.split(jax.random.key(0), shape)
    if dtype == "float":
        return jnp.asarray(chance.normal(size=shape), "float32")
    return jnp.zeros(shape, "int32" if dtype == "int" else dtype)


def _runs(results: Callable[[Sequence[Any]], list[Any]], leaves: Sequence[Any]) -> bool:
    try:
        jax.eval_shape(results, leaves)
    except Exception:
        return False
    return True


def _with(front: tuple[int, ...], value: Any, shape: Shape) -> Any:
    return value.reshape((*front, *value.shape[1:])) if LEADING in shape else value


def _alike(one: Any, other: Any) -> bool:
    if dtype_of(one) == "key":
        one, other = map(jax.random.key_data, (one, other))
    if jnp.shape(one) != jnp.shape(other):
        return False
    return np.allclose(one, other, rtol=1e-3, atol=1e-4, equal_nan=True)


def _refused(source: Source, message: str) -> GradgenError:
    stating = (d for d in (*source.directives, *source.annotated) if "(..." in d.text)
    place = next((d.position for d in stating if d.position.line), source.position)
    return error_in(
        source,
        f"'...' in a shape stands for any number of axes, and '{source.function}' {message}",
        hint="state the axes that there are, as in # gradgen: shape x=(batch, n)",
        at=place,
    )
