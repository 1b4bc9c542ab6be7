"""Calls with derivative rules that users wrote: custom_jvp, custom_vjp, custom_gradient.

Such a call stays one vertex. Its partials are its rule: the JVP rule on unit tangents, or the
backward rule on unit cotangents.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradgen.frontend.tracing import jax_compat
from gradgen.frontend.tracing.interpret import Interpreter, Tensor, handles, scalar
from gradgen.frontend.tracing.jax_compat import Eqn
from gradgen.ir.code import Atom, Const, Instruction, Var, is_float, is_zero, substitute
from gradgen.ir.trace import Elemental

_Partials = dict[Var, list[tuple[Var, Atom]]]


@handles("custom_jvp_call")
def _custom_jvp(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    interpreter.tape.own_rules = True
    results = interpreter.run(eqn.params["call_jaxpr"], operands)
    if not interpreter.wants_rules:
        return results
    results = vertices_of(interpreter, eqn, results)
    function = jax_compat.equation_function(eqn)
    variables, tensors = _variable_operands(eqn, operands)
    partials: _Partials = {}
    for k, variable in enumerate(variables):
        if not is_float(interpreter.dtype(variable.aval)):
            continue
        for index in np.ndindex(variable.aval.shape):
            operand = tensors[k][index]
            if isinstance(operand, Const):
                continue
            unit = np.zeros(variable.aval.shape, variable.aval.dtype)
            unit[index] = 1

            def tangents(*values: Any, k: int = k, unit: Any = unit) -> Any:
                def along(x: Any) -> Any:
                    return function(*values[:k], x, *values[k + 1 :])

                return jax.jvp(along, (values[k],), (jnp.asarray(unit),))[1]

            columns = _run_rule(interpreter, eqn, tangents, variables, tensors)
            for target, partial in _float_elements(interpreter, eqn, results, columns):
                partials.setdefault(target, []).append((operand, partial))
    _record(interpreter, eqn, partials)
    return results


@handles("custom_vjp_call", "custom_vjp_call_jaxpr")
def _custom_vjp(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    body = eqn.params.get("call_jaxpr") or eqn.params["fun_jaxpr"]
    start = len(interpreter.tape.primal)
    computed = interpreter.run(body, operands)
    if not interpreter.wants_rules:
        interpreter.tape.own_rules = True
        return computed
    inside = interpreter.tape.primal[start:]
    results = vertices_of(interpreter, eqn, computed)
    function = jax_compat.equation_function(eqn)
    variables, tensors = _variable_operands(eqn, operands)
    floats = [k for k, v in enumerate(variables) if is_float(interpreter.dtype(v.aval))]
    partials: _Partials = {}
    for position, result in enumerate(results):
        if not is_float(interpreter.dtype(eqn.outvars[position].aval)):
            continue
        for index in np.ndindex(result.shape):

            def pull(ct: Any, *values: Any, position: int = position, index: Any = index) -> Any:
                def of_floats(*chosen: Any) -> Any:
                    given = list(values)
                    for k, value in zip(floats, chosen, strict=True):
                        given[k] = value
                    return function(*given)

                forwards, pullback = jax.vjp(of_floats, *(values[k] for k in floats))
                cotangents = [
                    _cotangent(variable.aval, ct if place == position else None, index)
                    for place, variable in enumerate(eqn.outvars)
                ]
                return pullback(cotangents), forwards

            start = len(interpreter.tape.partials)
            ran = _run_linear_rule(interpreter, eqn, pull, variables, tensors, len(floats))
            rows, forwards = ran[: len(floats)], ran[len(floats) :]
            code = [*inside, *interpreter.tape.partials[start:]]
            interpreter.tape.own_rules |= not _same_values(code, computed, forwards)
            found = partials.setdefault(result[index], [])
            for k, row in zip(floats, rows, strict=True):
                for place in np.ndindex(row.shape):
                    operand = tensors[k][place]
                    if isinstance(operand, str):
                        found.append((operand, row[place]))
    _record(interpreter, eqn, partials)
    return results


def _cotangent(aval: Any, value: Any, index: tuple[int, ...]) -> Any:
    """Zero, but for `value` at `index`."""
    if not jnp.issubdtype(aval.dtype, jnp.inexact):
        return np.zeros(aval.shape, jax.dtypes.float0)
    zero = jnp.zeros(aval.shape, aval.dtype)
    if value is None:
        return zero
    return value if aval.shape == () else zero.at[index].set(value)


def vertices_of(interpreter: Interpreter, eqn: Eqn, results: list[Tensor]) -> list[Tensor]:
    """A vertex of its own for each float result: what the call computes inside has no part in it.

    Two calls that compute the same may have different rules, so each copy is numbered.
    """
    interpreter.tape.calls += 1
    number = (("call", interpreter.tape.calls),)
    vertices = []
    for tensor, variable in zip(results, eqn.outvars, strict=True):
        dtype = interpreter.dtype(variable.aval)
        copied = tensor
        if is_float(dtype):
            copied = np.empty(tensor.shape, object)
            for index in np.ndindex(tensor.shape):
                copied[index] = interpreter.emit(eqn, "copy", (tensor[index],), dtype, number)
        vertices.append(copied)
    return vertices


def _variable_operands(eqn: Eqn, operands: list[Tensor]) -> tuple[list[Any], list[Tensor]]:
    """The operands that are not literals, each once, as `equation_function` takes them."""
    found = {
        atom: tensor
        for atom, tensor in zip(eqn.invars, operands, strict=True)
        if not jax_compat.is_literal(atom)
    }
    return list(found), list(found.values())


def _float_elements(
    interpreter: Interpreter, eqn: Eqn, results: list[Tensor], columns: list[Tensor]
) -> list[tuple[Var, Atom]]:
    """Each element of a float result with what a rule says of it."""
    return [
        (result[index], column[index])
        for variable, result, column in zip(eqn.outvars, results, columns, strict=True)
        if is_float(interpreter.dtype(variable.aval))
        for index in np.ndindex(result.shape)
    ]


def _run_rule(
    interpreter: Interpreter,
    eqn: Eqn,
    rule: Callable[..., Any],
    variables: Sequence[Any],
    tensors: Sequence[Tensor],
    leading: Sequence[tuple[Any, Tensor]] = (),
) -> list[Tensor]:
    """Trace a rule and write its code among the partials."""
    shapes = [jax_compat.shaped(v.aval.shape, v.aval.dtype) for v in variables]
    what = f"the derivative rule of '{jax_compat.rule_name(eqn)}' fails"
    with interpreter.users_code(eqn, what):
        closed = jax.make_jaxpr(rule)(*(aval for aval, _ in leading), *shapes)
    with interpreter.writing_partials():
        return interpreter.run(closed, [*(tensor for _, tensor in leading), *tensors])


def _run_linear_rule(
    interpreter: Interpreter,
    eqn: Eqn,
    pull: Callable[..., Any],
    variables: Sequence[Any],
    tensors: Sequence[Tensor],
    linear: int,
) -> list[Tensor]:
    """Trace a backward rule with its cotangent left open, make sure it is linear, then put in 1.

    So many of its results depend on the cotangent; the others are the forward rule's.
    """
    cotangent = interpreter.tape.fresh()
    aval = jax_compat.shaped((), interpreter.working)
    start = len(interpreter.tape.partials)
    rows = _run_rule(interpreter, eqn, pull, variables, tensors, [(aval, scalar(cotangent))])
    rule = interpreter.tape.partials[start:]
    roots = [row[index] for row in rows[:linear] for index in np.ndindex(row.shape)]
    if not _is_linear(rule, cotangent, roots):
        raise interpreter.unsupported(
            eqn,
            f"the backward rule of '{jax_compat.rule_name(eqn)}' is not linear in its cotangent",
            hint="such a rule is no derivative, so no Jacobian describes it; clip or transform "
            "gradients in the optimiser instead",
        )
    one: dict[Var, Atom] = {cotangent: Const(1.0, "float")}
    interpreter.tape.partials[start:] = [substitute(i, one) for i in rule]
    substituted = []
    for row in rows:
        copied = row.copy()
        for index in np.ndindex(row.shape):
            copied[index] = one.get(row[index], row[index])
        substituted.append(copied)
    return substituted


def _same_values(
    code: Sequence[Instruction], ones: Sequence[Tensor], others: Sequence[Tensor]
) -> bool:
    """Whether two lists of arrays are computed alike (value numbering).

    The forward rule of a custom_vjp is what JAX differentiates a second time, and the function
    itself is what we compute.
    """
    numbers: dict[Atom, int] = {}
    known: dict[Any, int] = {}
    for i in code:
        operands = tuple(numbers.get(atom, atom) for atom in i.operands)
        numbers[i.target] = known.setdefault((i.op, operands, i.attributes, i.dtype), len(known))
    return all(
        numbers.get(one[index], one[index]) == numbers.get(other[index], other[index])
        for one, other in zip(ones, others, strict=True)
        for index in np.ndindex(one.shape)
    )


def _is_linear(code: Sequence[Instruction], cotangent: Var, roots: Sequence[Atom]) -> bool:
    """Whether the roots are homogeneous and linear in the cotangent, by the form of the code."""
    depends = {cotangent}

    def linear_or_zero(atom: Atom) -> bool:
        return atom in depends or is_zero(atom)

    for instruction in code:
        involved = [atom in depends for atom in instruction.operands]
        if not any(involved):
            continue
        match instruction.op:
            case "neg" | "convert":
                linear = True
            case "mul":
                linear = sum(involved) == 1
            case "div":
                linear = involved == [True, False]
            case "add" | "sub":
                linear = all(linear_or_zero(atom) for atom in instruction.operands)
            case "select":
                linear = not involved[0] and all(map(linear_or_zero, instruction.operands[1:]))
            case _:
                linear = False
        if not linear:
            return False
        depends.add(instruction.target)
    return all(linear_or_zero(atom) for atom in roots)


def _record(interpreter: Interpreter, eqn: Eqn, partials: _Partials) -> None:
    for target, found in partials.items():
        interpreter.tape.custom.append(Elemental(target, jax_compat.rule_name(eqn), tuple(found)))
