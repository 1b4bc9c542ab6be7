"""Calls and control flow: inlining, unrolling, taking both branches."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np

from gradgen.errors import GradgenError
from gradgen.frontend.tracing import jax_compat, primitives
from gradgen.frontend.tracing.interpret import MAX_ITERATIONS, Interpreter, Tensor, element, handles
from gradgen.frontend.tracing.jax_compat import CALLS, REMATERIALISED, Eqn
from gradgen.ir.code import Atom, Const, Var

_KEPT_WHOLE = ("hypot",)
"""Functions of jax.numpy that calculate with other numbers in each dtype."""


@handles(*CALLS, *REMATERIALISED)
def _inline(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    body = eqn.params["jaxpr"]
    if eqn.primitive.name in ("jit", "pjit") and _is_kept_whole(eqn):
        function = (("function", eqn.params["name"]),)
        return [interpreter.elementwise(eqn, "library", operands, function)]
    with interpreter.inside_jit(eqn):
        if hasattr(body, "consts"):
            return interpreter.run(body, operands)
        return interpreter.run_open(body, [], operands)


def _is_kept_whole(eqn: Eqn) -> bool:
    """Whether a call is of a library function, and not of the user's own function of that name."""
    name = eqn.params["name"]
    if name not in _KEPT_WHOLE:
        return False
    library = jax.make_jaxpr(primitives.library_function(name))(*(v.aval for v in eqn.invars))
    return str(library.eqns[0].params.get("jaxpr")) == str(eqn.params["jaxpr"])


@handles("empty2")
def _placeholder(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    """What the gradient of a branch has in place of a value of another one: it is never read."""
    (aval,) = (variable.aval for variable in eqn.outvars)
    return [interpreter.constant(np.zeros(aval.shape, aval.dtype), interpreter.dtype(aval))]


@handles("cond")
def _branch(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    """Evaluate every branch and select."""
    which, arguments = operands[0][()], operands[1:]
    branches = eqn.params["branches"]
    if isinstance(which, Const):
        return interpreter.run(branches[int(which.value)], arguments)
    numbers = range(1, len(branches))
    conditions = [_is_branch(interpreter, eqn, which, k, len(branches)) for k in numbers]
    results = []
    for number, branch in enumerate(branches):
        taken = (
            ((conditions[number - 1], True),) if number else tuple((c, False) for c in conditions)
        )
        with interpreter.only_if(taken):
            results.append(interpreter.run(branch, arguments))
    chosen = results[0]
    for condition, result in zip(conditions, results[1:], strict=True):
        chosen = [
            _select(interpreter, eqn, condition, new, old, variable.aval)
            for new, old, variable in zip(result, chosen, eqn.outvars, strict=True)
        ]
    return chosen


def _is_branch(interpreter: Interpreter, eqn: Eqn, which: Var, number: int, count: int) -> Atom:
    """The truth value of "branch `number` is taken"."""
    dtype = interpreter.dtype(eqn.invars[0].aval)
    if dtype == "bool":
        return which
    definition = next((i for i in reversed(interpreter.tape.primal) if i.target == which), None)
    if count == 2 and definition is not None and definition.attributes == (("from", "bool"),):
        return definition.operands[0]
    return interpreter.emit(eqn, "eq", (which, Const(number, dtype)), "bool")


def _select(
    interpreter: Interpreter, eqn: Eqn, condition: Atom, new: Tensor, old: Tensor, aval: Any
) -> Tensor:
    result = np.empty(new.shape, object)
    dtype = interpreter.dtype(aval)
    for index in np.ndindex(new.shape):
        if new[index] == old[index]:
            result[index] = new[index]
        else:
            operands = (condition, new[index], old[index])
            result[index] = interpreter.emit(eqn, "select", operands, dtype)
    return result


@handles("scan")
def _scan(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    constants, carried = jax_compat.scan_counts(eqn)
    length = int(eqn.params["length"])
    if length > MAX_ITERATIONS:
        raise _too_long(interpreter, eqn, f"a loop of {length:,} iterations")
    state = operands[constants : constants + carried]
    scanned = operands[constants + carried :]
    collected: list[list[Tensor]] = []
    steps = range(length)
    for step in reversed(steps) if eqn.params["reverse"] else steps:
        slices = [element(tensor, step) for tensor in scanned]
        arguments = [*operands[:constants], *state, *slices]
        results = interpreter.run(eqn.params["jaxpr"], arguments)
        state = results[:carried]
        collected.append(results[carried:])
    if eqn.params["reverse"]:
        collected.reverse()
    return [*state, *(np.stack(column) for column in zip(*collected, strict=True))]


@handles("while")
def _while(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    first = eqn.params["cond_nconsts"]
    second = first + eqn.params["body_nconsts"]
    for_condition, for_body, state = operands[:first], operands[first:second], operands[second:]
    for _ in range(MAX_ITERATIONS + 1):
        (going,) = interpreter.run(eqn.params["cond_jaxpr"], [*for_condition, *state])
        if not isinstance(going[()], Const):
            raise interpreter.unsupported(
                eqn,
                "a loop without a static trip count is not supported",
                hint="how often it runs must not depend on the arguments: use fori_loop or scan "
                "with a fixed length",
            )
        if not going[()].value:
            return state
        state = interpreter.run(eqn.params["body_jaxpr"], [*for_body, *state])
    raise _too_long(interpreter, eqn, "a loop")


def _too_long(interpreter: Interpreter, eqn: Eqn, what: str) -> GradgenError:
    return interpreter.unsupported(
        eqn,
        f"{what} is longer than the {MAX_ITERATIONS:,} iterations that are unrolled",
        hint="take the loop outside the step function, or shorten it",
    )
