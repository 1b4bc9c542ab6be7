"""Two programs on the same arguments: what the generated functions give, and what JAX does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.flatten_util import ravel_pytree

from gradgen.ir.emitted import STEP, EmittedFunction
from gradgen.verify.array_entries import dense_entries
from gradgen.verify.array_locality import Couplings
from gradgen.verify.array_online import (
    ONLINE,
    forward_in_time,
    through_time,
    without_couplings,
)
from gradgen.verify.generated import CallArguments, Generated
from gradgen.verify.subject import ArraySubject, result_leaves

Vectors = Sequence[Any]
Results = dict[str, list[Any]]
"""Arrays by what they are: `result`, `cotangents`, `tangents`, `gradient`, `jacobian`, `entries`,
`through scan`, `online`; those of the Jacobian are as many as pairs of an output and an input."""
Program = Callable[[Vectors, Vectors, Vectors], Any]
"""On leaves, cotangents of the float outputs, and tangents of the differentiated leaves."""

SCAN = "through scan"
_STEPS = 3
_AT_ONCE = 128


def source_program(
    subject: ArraySubject, parts: Sequence[str], couplings: Couplings = frozenset()
) -> Program:
    """What JAX makes of the source; `couplings` are what traces leave out."""

    def run(leaves: Vectors, cotangents: Vectors, tangents: Vectors) -> Results:
        chosen = tuple(leaves[k] for k in subject.wrt)
        along = _of_floats(subject, leaves)
        found: Results = {"result": result_leaves(subject.source(leaves))}
        if {"cotangents", "gradient"} & {*parts}:
            outputs, pull = jax.vjp(along, *chosen)
            found["cotangents"] = list(pull(list(cotangents)))
            found["gradient"] = list(pull(first_only(outputs)))
        if "products" in parts:
            found["products"] = products_of(along, chosen, tangents)
        if {"jacobian", "entries"} & {*parts}:
            found["jacobian"] = found["entries"] = _jacobian(jax.jacrev, along, chosen)
        if "tangents" in parts:
            if goes_forward(along, chosen, tangents):
                found["tangents"] = jax.jvp(along, chosen, tuple(tangents))[1]
            else:
                found["tangents"] = by_pulls(along, chosen, tangents)
        if SCAN in parts:
            found[SCAN] = _through_scan(subject, subject.source, leaves, cotangents)
        if ONLINE in parts:
            found[ONLINE] = (
                without_couplings(subject, couplings, leaves, cotangents)
                if couplings
                else through_time(subject, leaves, cotangents)
            )
        return {part: found[part] for part in parts}

    return run


def generated_program(
    generated: Generated, functions: Sequence[EmittedFunction], parts: Sequence[str], result: Any
) -> Program:
    """What generated functions give of these parts, by name; `result` is for its pytree."""
    subject: ArraySubject = generated.subject

    def run(leaves: Vectors, cotangents: Vectors, tangents: Vectors) -> dict[str, Results]:
        given = CallArguments(leaves, cotangents, tangents, result)
        found: dict[str, Results] = {}
        for function in functions:
            values = generated.returned(function, given)
            if function.rule:
                values |= generated.through(function, given)
            if "entries" in values:
                outputs = result_leaves(generated.subject.source(leaves))
                floats = [outputs[k] for k in subject.floats]
                values["entries"] = dense_entries(generated, values["entries"], floats, leaves)
            if "traces" in values:
                values[ONLINE] = forward_in_time(generated, leaves, cotangents, result)
            found[function.name] = {
                part: _flat(subject, part, value) for part, value in values.items() if part in parts
            }
            if function.name == STEP and SCAN in parts:
                through = _through_scan(
                    subject, lambda flat: generated.call(STEP, flat), leaves, cotangents
                )
                found[STEP][SCAN] = through
        return found

    return run


def other_mode(subject: ArraySubject, part: str) -> Program | None:
    """The same derivative by JAX's other mode, a column or a row at a time."""
    if part not in ("cotangents", "tangents", "gradient", "jacobian", "entries", "products"):
        return None

    def run(leaves: Vectors, cotangents: Vectors, tangents: Vectors) -> list[Any]:
        along, chosen = _of_floats(subject, leaves), tuple(leaves[k] for k in subject.wrt)
        if part == "products":
            return by_pulls(_gradient(along), chosen, tangents)
        if part == "tangents":
            return by_pulls(along, chosen, tangents)
        if part in ("jacobian", "entries"):
            return _jacobian(jax.jacfwd, along, chosen)
        if part == "gradient":
            cotangents = first_only(along(*chosen))
        return _by_pushes(along, chosen, cotangents)

    return run


def products_of(along: Callable[..., Any], chosen: Vectors, tangents: Vectors) -> list[Any]:
    """Hessian-vector products of the first output.

    The forward rule of a `jax.custom_vjp` may call the function itself, which JAX then
    differentiates in reverse mode alone: a row of the Hessian for each element.
    """
    gradient = _gradient(along)
    if goes_forward(gradient, chosen, tangents):
        return list(jax.jvp(gradient, tuple(chosen), tuple(tangents))[1])
    return by_pulls(gradient, chosen, tangents)


def _gradient(along: Callable[..., Any]) -> Callable[..., list[Any]]:
    """The gradient of the first output."""

    def gradient(*chosen: Any) -> list[Any]:
        outputs, pull = jax.vjp(along, *chosen)
        return list(pull(first_only(outputs)))

    return gradient


def _jacobian(mode: Any, along: Callable[..., Any], chosen: Vectors) -> list[Any]:
    """The derivatives of each output by each input, in the output's dtype."""
    rows = mode(along, tuple(range(len(chosen))))(*chosen)
    outputs = jax.eval_shape(along, *chosen)
    return [
        entry.astype(output.dtype)
        for output, row in zip(outputs, rows, strict=True)
        for entry in row
    ]


def goes_forward(along: Callable[..., Any], chosen: Vectors, tangents: Vectors) -> bool:
    """Whether there is no rule on the way that is one for the backward pass alone."""
    try:
        pushed = jax.make_jaxpr(lambda c, t: jax.jvp(along, c, t))(tuple(chosen), tuple(tangents))
    except TypeError:
        return False
    # what stands in place of a rule that is missing, until it is compiled
    return "custom_lin" not in str(pushed)


def by_pulls(along: Callable[..., Any], chosen: Vectors, tangents: Vectors) -> list[Any]:
    """The tangents of the outputs, from a vector-Jacobian product for each of their elements."""
    outputs, pull = jax.vjp(along, *chosen)

    def row(unit: Any) -> Any:
        return sum(jnp.vdot(c, t) for c, t in zip(pull(unit), tangents, strict=True))

    return list(_at_units(row, outputs))


def _by_pushes(along: Callable[..., Any], chosen: Vectors, cotangents: Vectors) -> list[Any]:
    """The cotangents of the inputs, from a Jacobian-vector product for each of their elements."""

    def column(unit: Any) -> Any:
        _, pushed = jax.jvp(along, tuple(chosen), unit)
        return sum(jnp.vdot(c, t) for c, t in zip(cotangents, pushed, strict=True))

    return list(_at_units(column, tuple(chosen)))


def _at_units(linear: Callable[[Any], Any], arrays: Any) -> Any:
    """A linear function of arrays at all that have a one in one place and zeros elsewhere."""
    flat, nested = ravel_pytree(arrays)

    def at(place: Any) -> Any:
        return linear(nested(jnp.zeros_like(flat).at[place].set(1)))

    return nested(lax.map(at, jnp.arange(flat.size), batch_size=_AT_ONCE))


def first_only(outputs: Vectors) -> list[Any]:
    """The cotangents that make a gradient: one for the first output, which is a number."""
    ones = jnp.ones_like(outputs[0])
    return [ones, *(jnp.zeros_like(output) for output in outputs[1:])]


def _of_floats(subject: ArraySubject, leaves: Vectors) -> Callable[..., list[Any]]:
    """The float outputs of the source, by the differentiated leaves."""

    def along(*chosen: Any) -> list[Any]:
        outputs = result_leaves(subject.source(subject.with_differentiated(leaves, chosen)))
        return [outputs[k] for k in subject.floats]

    return along


def _flat(subject: ArraySubject, part: str, value: Any) -> list[Any]:
    """The arrays of what a function returned; of tangents, those of floats."""
    if part == "tangents":
        leaves = jax.tree.leaves(value)
        return [leaves[k] for k in subject.floats]
    return [jnp.asarray(leaf) for leaf in jax.tree.leaves(value)]


def _through_scan(
    subject: ArraySubject,
    call: Callable[[Vectors], Any],
    leaves: Vectors,
    cotangents: Vectors,
) -> list[Any]:
    """The gradient of a weighted sum of the state after a few steps."""
    trace = subject.module.trace
    numbers = {output.path: k for k, output in enumerate(trace.outputs)}
    carried = [(subject.paths.index(i), numbers[o]) for i, o in trace.recurrence]

    def total(chosen: Vectors) -> Any:
        given = subject.with_differentiated(leaves, chosen)

        def step(carry: Vectors, _: Any) -> tuple[list[Any], None]:
            now = list(given)
            for (place, _), value in zip(carried, carry, strict=True):
                now[place] = value
            outputs = result_leaves(call(now))
            return [outputs[number] for place, number in carried], None

        start = [jnp.asarray(given[place]) for place, _ in carried]
        last = lax.scan(step, start, length=_STEPS)[0]
        weights = dict(zip(subject.floats, cotangents, strict=True))
        return sum(
            jnp.vdot(weights[number], value)
            for (_, number), value in zip(carried, last, strict=True)
            if number in weights
        )

    return list(jax.grad(total)([leaves[k] for k in subject.wrt]))
