"""The gradient of a source as a function of the same arguments, which can be traced as well."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from gradgen.errors import GradgenError
from gradgen.frontend.tracing.signature import Signature
from gradgen.frontend.tracing.trace import trace
from gradgen.ir.source import Source
from gradgen.ir.trace import Trace

Gradient = Callable[..., tuple[Any, ...]]
"""Called like a source; a tuple over the leaves that are differentiated."""


def gradient_of(
    function: Callable[..., Any], signature: Signature, chosen: Sequence[int], *, vmapped: bool
) -> Gradient:
    """The gradient of a step function whose result is one scalar, by the chosen leaves.

    On arrays of neurons it is the gradient of each, in the shape that the source's result has;
    `vmapped` says that the source itself runs on scalars alone.
    """

    def number(*leaves: Any) -> Any:
        (result,) = jax.tree.leaves(signature.call(function, leaves))
        return result

    def gradient(*positional: Any, **keyword: Any) -> tuple[Any, ...]:
        leaves = signature.leaves_of(positional, keyword)
        shape = jnp.broadcast_shapes(*map(jnp.shape, leaves))
        if shape == ():
            return _pulled(number, leaves, chosen)
        each = number
        for _ in shape if vmapped else ():
            each = jax.vmap(each)
        found = _pulled(each, [jnp.broadcast_to(leaf, shape) for leaf in leaves], chosen)
        return found if vmapped else _in_shape(found, jax.eval_shape(number, *leaves).shape)

    return gradient


def _pulled(
    number: Callable[..., Any], leaves: Sequence[Any], chosen: Sequence[int]
) -> tuple[Any, ...]:
    def along(*values: Any) -> Any:
        given = list(leaves)
        for position, value in zip(chosen, values, strict=True):
            given[position] = value
        return jnp.asarray(number(*given))

    result, pull = jax.vjp(along, *(leaves[k] for k in chosen))
    return tuple(pull(jnp.ones_like(result)))


def _in_shape(values: Sequence[Any], shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Values that do not vary along the axes that a result lacks, without these."""
    place = tuple(slice(0, size) for size in shape)
    return tuple(value[(0,) * (value.ndim - len(shape))][place] for value in values)


def trace_gradient(source: Source, gradient: Gradient, signature: Signature, of: Trace) -> Trace:
    """The gradient of what was traced, as a step function with an output for each input.

    JAX writes down its own gradient, with the source's rules in place of the operations that have
    them; the partials of that code are those of the derivative of second order. Raises GradgenError
    where JAX has no derivative of it, with the line of the source.
    """
    found = trace(source, gradient, signature)
    if found.single and not of.single:
        raise GradgenError(
            f"the gradient of '{of.function}' runs in float32 alone",
            hint="have one text for float32 alone, with --dtype float32; or leave hvp out of --emit",
            path=source.path,
            line=source.position.line,
            column=source.position.column,
        )
    everything = frozenset(i.variable for i in found.inputs)
    paths = [i.path for i in found.inputs if i.wrt]
    outputs = (
        replace(output, path=f"gradient.{path}", shaped_by=everything)
        for output, path in zip(found.outputs, paths, strict=True)
    )
    return replace(found, outputs=tuple(outputs))
