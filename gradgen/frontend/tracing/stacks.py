"""Arrays in a result that hold a neuron's variables along an axis: traced as their parts."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from gradgen.errors import GradgenError
from gradgen.frontend.tracing.blame import is_interruption
from gradgen.frontend.tracing.load import importable_beside
from gradgen.frontend.tracing.signature import Signature
from gradgen.ir.pytree import Columns, Rows
from gradgen.ir.source import Source

_MOST = 64
"""An array of more numbers for one neuron is none of its variables."""


def _register(kind: type[Rows]) -> None:
    jax.tree_util.register_pytree_node(
        kind, lambda parts: (tuple(parts), None), lambda _, parts: kind(parts)
    )


_register(Rows)
_register(Columns)


def with_arrays_apart(
    source: Source, function: Callable[..., Any], signature: Signature
) -> Callable[..., Any]:
    """The function, whose result has `Rows` or `Columns` in place of arrays.

    What it returns for several neurons tells which axis is that of the variables. It stays as it
    is where that tells nothing, and where it returns no arrays, or others than such.
    """
    one = _returned(source, function, signature, ())
    arrays = [leaf for leaf in one if leaf.ndim > 0]
    if not arrays:
        return function
    neurons = next(n for n in (3, 5) if all(leaf.shape != (n,) for leaf in arrays))
    many = _returned(source, function, signature, (neurons,)) or one
    kinds = [_kind(*both, neurons) for both in zip(one, many, strict=True)]
    if any(kind is None and leaf.ndim > 0 for kind, leaf in zip(kinds, one, strict=True)):
        return function

    @functools.wraps(function)
    def apart(*arguments: Any, **more: Any) -> Any:
        leaves, tree = jax.tree.flatten(function(*arguments, **more))
        return jax.tree.unflatten(tree, map(_in_parts, kinds, leaves))

    return apart


def _in_parts(kind: type[Rows] | None, leaf: Any) -> Any:
    if kind is None:
        return leaf
    places = range(leaf.shape[kind.axis])
    return kind(jax.lax.index_in_dim(leaf, k, kind.axis, keepdims=False) for k in places)


def _kind(one: Any, many: Any, neurons: int) -> type[Rows] | None:
    """Along which axis an array has variables, by its shapes for one and for several neurons."""
    if one.ndim != 1 or one.shape[0] > _MOST or not jnp.issubdtype(one.dtype, jnp.floating):
        return None
    shapes: dict[tuple[int, ...], type[Rows]] = {
        (*one.shape, neurons): Rows, (neurons, *one.shape): Columns
    }  # fmt: skip
    return shapes.get(many.shape)


def _returned(
    source: Source, function: Callable[..., Any], signature: Signature, shape: tuple[int, ...]
) -> list[Any]:
    """The leaves of the result for neurons in this shape; none where the function does not run."""
    avals = signature.avals("float32", dict.fromkeys(range(len(signature.leaves)), shape))
    with importable_beside(source.path):
        try:
            found = jax.eval_shape(lambda *leaves: signature.call(function, leaves), *avals)
        except GradgenError:
            raise
        except BaseException as error:
            if is_interruption(error):
                raise
            return []  # tracing says it
    leaves = jax.tree.leaves(found)
    return leaves if all(hasattr(leaf, "ndim") for leaf in leaves) else []
