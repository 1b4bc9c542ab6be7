"""A function with `jax.checkpoint` around the step of each of its loops over time.

That is what people write by hand, `lax.scan(jax.checkpoint(step, prevent_cse=False), ...)`, to have
a loop keep its carry alone: here it is put into the function's jaxpr, whatever wrote the loop.
Loops in loops are part of the step of the outer one; what has rules of its own keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend.core as jex
from jax import lax

from gradgen.frontend.tracing.jax_compat import CALLS, equation_function, is_literal


def with_checkpoints(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any] | None:
    """The function of the same values, traced anew where it is called.

    None if it has no loop over time, at arguments like these.
    """
    if not _has_loops(jax.make_jaxpr(function)(*arguments).jaxpr):
        return None

    def checkpointed(*arguments: Any) -> Any:
        closed, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
        found = _evaluate(closed.jaxpr, closed.consts, jax.tree.leaves(arguments))
        return jax.tree.unflatten(jax.tree.structure(shapes), found)

    return checkpointed


def _has_loops(jaxpr: Any) -> bool:
    return any(
        equation.primitive.name == "scan"
        or (equation.primitive.name in CALLS and _has_loops(_called(equation).jaxpr))
        for equation in jaxpr.eqns
    )


def _evaluate(jaxpr: Any, consts: Sequence[Any], arguments: Sequence[Any]) -> list[Any]:
    known = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *arguments), strict=True))

    def read(atom: Any) -> Any:
        return atom.val if is_literal(atom) else known[atom]

    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            found = _scan(equation.params, list(map(read, equation.invars)))
        elif equation.primitive.name in CALLS:
            called = _called(equation)
            found = _evaluate(called.jaxpr, called.consts, list(map(read, equation.invars)))
        else:
            operands = dict.fromkeys(atom for atom in equation.invars if not is_literal(atom))
            found = equation_function(equation)(*map(read, operands))
        known.update(zip(equation.outvars, found, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _called(equation: Any) -> Any:
    """The closed jaxpr of a call."""
    return equation.params.get("jaxpr") or equation.params["call_jaxpr"]


def _scan(params: dict[str, Any], given: Sequence[Any]) -> list[Any]:
    first, carried = params["num_consts"], params["num_carry"]
    once, carry, sequences = given[:first], given[first : first + carried], given[first + carried :]
    body = jax.checkpoint(jex.jaxpr_as_fun(params["jaxpr"]), prevent_cse=False)

    def step(carry: Sequence[Any], now: Sequence[Any]) -> tuple[Any, Any]:
        found = body(*once, *carry, *now)
        return tuple(found[:carried]), tuple(found[carried:])

    after, stacked = lax.scan(
        step,
        tuple(carry),
        tuple(sequences),
        length=params["length"],
        reverse=params["reverse"],
        unroll=params["unroll"],
    )
    return [*after, *stacked]
