"""The gradient of a source as a function of the same arguments, which can be traced as well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp

from gradgen.errors import GradgenError, error_in
from gradgen.frontend.tracing import jax_compat
from gradgen.frontend.tracing.blame import users_code
from gradgen.frontend.tracing.load import importable_beside
from gradgen.frontend.tracing.signature import Signature
from gradgen.frontend.tracing.trace import trace
from gradgen.ir.code import Var, is_float, live_code
from gradgen.ir.identity import stable_names
from gradgen.ir.source import Source
from gradgen.ir.trace import Label, Trace

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


def loss_gradient(
    function: Callable[..., Any], signature: Signature, chosen: Sequence[int]
) -> Gradient:
    """The gradient of the first of a function's results, a single number, by the chosen leaves."""

    def loss(*leaves: Any) -> Any:
        return jax.tree.leaves(signature.call(function, leaves))[0]

    def gradient(*positional: Any, **keyword: Any) -> tuple[Any, ...]:
        return _pulled(loss, signature.leaves_of(positional, keyword), chosen)

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


def require_number(source: Source, *, is_number: bool) -> None:
    """Raise GradgenError for a source whose result is not one scalar, which alone has a Hessian."""
    if not is_number:
        raise error_in(
            source,
            f"'{source.function}' does not return one scalar, and hvp is about the Hessian of one",
            hint="leave hvp out of --emit, or return a single number, such as a weighted sum",
        )


@contextmanager
def of_second_order(
    source: Source,
    gradient: Gradient,
    signature: Signature,
    avals: Callable[[str], Sequence[Any]],
) -> Iterator[None]:
    """For tracing a gradient: raises GradgenError where JAX itself has none, and has hints say that
    the source may well be right but for derivatives of second order.

    `avals` are stand-ins for the leaves in a precision.
    """
    what = f"JAX has no gradient of '{source.function}', which hvp would differentiate"
    hint = (
        "leave hvp out of --emit, or write loops with jax.lax.scan, or with a number of steps that "
        "is known"
    )
    with (
        jax_compat.x64(False),
        importable_beside(source.path),
        users_code(source.path, source.line_of, what, hint, at=source.position),
    ):
        jax.make_jaxpr(lambda *leaves: signature.call(gradient, leaves))(*avals("float32"))
    try:
        yield
    except GradgenError as error:
        error.hint = ", or ".join(filter(None, ("leave hvp out of --emit", error.hint)))
        raise


def require_same_precisions(source: Source, gradient: bool, source_alone: bool) -> None:
    """Raise GradgenError for a gradient that is of float32 alone where its source is not."""
    if gradient and not source_alone:
        raise error_in(
            source,
            f"the gradient of '{source.function}' has a derivative in float32 alone",
            hint="have a text for float32 alone, with --dtype float32, or leave hvp out of --emit",
        )


def trace_gradient(source: Source, gradient: Gradient, signature: Signature, of: Trace) -> Trace:
    """The gradient of what was traced, as a step function with an output for each input.

    JAX writes down its own gradient, with the source's rules in place of the operations that have
    them; the partials of that code are those of the derivative of second order. Of the primal only
    that stays as written which the source computes too, or which decides between branches: the
    rest is derivatives, like the partials that it is put among. Raises GradgenError where JAX has
    no derivative of it, with the line of the source.
    """
    with of_second_order(source, gradient, signature, signature.avals):
        found = trace(source, gradient, signature)
    require_same_precisions(source, found.single, of.single)
    everything = frozenset(i.variable for i in found.inputs)
    paths = [i.path for i in found.inputs if i.wrt]
    outputs = (
        replace(output, path=f"gradient.{path}", shaped_by=everything)
        for output, path in zip(found.outputs, paths, strict=True)
    )
    names = _of_source(found, of)
    code = found.primal
    deciding = live_code(code, [i.target for i in code if not is_float(i.dtype)])
    exact = names.keys() | {i.target for i in deciding}
    return replace(
        found,
        outputs=tuple(outputs),
        primal=tuple(i for i in code if i.target in exact),
        partials=(*(i for i in code if i.target not in exact), *found.partials),
        labels=tuple(replace(names[v], variable=v) for v in names),
    )


def _of_source(gradient: Trace, source: Trace) -> dict[Var, Label]:
    """What of a gradient is computed as the source computes it, with what that is called there."""
    inputs = {i.variable: i.path for i in source.inputs}
    labels = {label.variable: label for label in source.labels}
    known = {
        name: labels.get(variable, Label(variable, None, None))
        for variable, name in stable_names(source.primal, inputs, calls_count=False).items()
    }
    names = stable_names(gradient.primal, inputs, calls_count=False)
    return {i.target: known[n] for i in gradient.primal if (n := names[i.target]) in known}
