"""Calls with derivative rules that users wrote: custom_jvp, custom_vjp, custom_gradient.

Such a call stays one vertex. Its partials are its rule: the JVP rule on unit tangents, or the
backward rule on unit cotangents. A rule is traced with all of these left open, and refused if it is
not linear in them; then a unit is put in for one at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from gradgen.frontend.tracing import jax_compat
from gradgen.frontend.tracing.interpret import Interpreter, Tensor, handles
from gradgen.frontend.tracing.jax_compat import Eqn
from gradgen.frontend.tracing.linear_rule import LinearRule
from gradgen.ir.code import Atom, Const, Instruction, Var, is_float
from gradgen.ir.trace import Elemental

_Partials = dict[Var, list[tuple[Var, Atom]]]


@handles("custom_jvp_call")
def _custom_jvp(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    results = interpreter.run(eqn.params["call_jaxpr"], operands)
    if not _needs_rule(interpreter, eqn, operands, results):
        return results
    interpreter.tape.own_rules = True
    if not interpreter.wants_rules:
        return results
    results = vertices_of(interpreter, eqn, results)
    function = jax_compat.equation_function(eqn)
    variables, tensors = _variable_operands(eqn, operands)
    varying = [k for k in _floats(interpreter, variables) if not _is_constant(tensors[k])]
    pushed = _floats(interpreter, eqn.outvars)

    def push(tangents: Sequence[Any], *values: Any) -> tuple[list[Any], list[Any]]:
        primals = [values[k] for k in varying]
        forwards, along = jax.jvp(_of(function, values, varying), primals, list(tangents))
        return [along[k] for k in pushed], forwards

    rule = LinearRule(interpreter, eqn, push, [variables[k] for k in varying], variables, tensors)
    rule.prove(f"the rule of '{jax_compat.rule_name(eqn)}' is not linear in its tangents")
    partials: _Partials = {}
    for operand, tangent in _pairs([tensors[k] for k in varying], rule.unknowns):
        if isinstance(operand, str):
            for target, partial in _pairs([results[k] for k in pushed], rule.at_unit(tangent)):
                partials.setdefault(target, []).append((operand, partial))
    _record(interpreter, eqn, partials)
    return results


@handles("custom_vjp_call", "custom_vjp_call_jaxpr")
def _custom_vjp(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    body = eqn.params.get("call_jaxpr") or eqn.params["fun_jaxpr"]
    start = len(interpreter.tape.primal)
    computed = interpreter.run(body, operands)
    if not _needs_rule(interpreter, eqn, operands, computed):
        return computed
    if not interpreter.wants_rules:
        interpreter.tape.own_rules = True
        return computed
    inside = interpreter.tape.primal[start:]
    results = vertices_of(interpreter, eqn, computed)
    function = jax_compat.equation_function(eqn)
    variables, tensors = _variable_operands(eqn, operands)
    floats, pulled = _floats(interpreter, variables), _floats(interpreter, eqn.outvars)

    def pull(cotangents: Sequence[Any], *values: Any) -> tuple[list[Any], list[Any]]:
        primals = [values[k] for k in floats]
        forwards, pullback = jax.vjp(_of(function, values, floats), *primals)
        due: list[Any] = [np.zeros(v.aval.shape, jax.dtypes.float0) for v in eqn.outvars]
        for k, cotangent in zip(pulled, cotangents, strict=True):
            due[k] = cotangent
        return list(pullback(due)), forwards

    weighed = [eqn.outvars[k] for k in pulled]
    rule = LinearRule(interpreter, eqn, pull, weighed, variables, tensors)
    same = _same_values([*inside, *rule.code], computed, rule.forwards)
    interpreter.tape.own_rules |= not same
    rule.prove(
        f"the backward rule of '{jax_compat.rule_name(eqn)}' is not linear in its cotangents"
    )
    partials: _Partials = {}
    for target, cotangent in _pairs([results[k] for k in pulled], rule.unknowns):
        found = _pairs([tensors[k] for k in floats], rule.at_unit(cotangent))
        partials[target] = [(operand, p) for operand, p in found if isinstance(operand, str)]
    _record(interpreter, eqn, partials)
    return results


def _needs_rule(
    interpreter: Interpreter,
    eqn: Eqn,
    operands: Sequence[Tensor],
    results: Sequence[Tensor],
) -> bool:
    """Whether derivatives go through a call: from an operand that is active, to a float.

    Its results are active then, whatever it computes inside.
    """
    active, floats = interpreter.tape.active, _floats(interpreter, eqn.outvars)
    if not floats or not any(active.intersection(tensor.flat) for tensor in operands):
        return False
    active.update(atom for k in floats for atom in results[k].flat if isinstance(atom, str))
    return True


def _floats(interpreter: Interpreter, variables: Sequence[Any]) -> list[int]:
    """The positions of the variables that can carry derivatives."""
    return [k for k, v in enumerate(variables) if is_float(interpreter.dtype(v.aval))]


def _is_constant(tensor: Tensor) -> bool:
    return all(isinstance(atom, Const) for atom in tensor.flat)


def _of(
    function: Callable[..., list[Any]], values: Sequence[Any], positions: Sequence[int]
) -> Callable[..., list[Any]]:
    """The function of its arguments at these positions, the others being the values."""

    def of_chosen(*chosen: Any) -> list[Any]:
        given = list(values)
        for k, value in zip(positions, chosen, strict=True):
            given[k] = value
        return function(*given)

    return of_chosen


def _pairs(ones: Sequence[Tensor], others: Sequence[Tensor]) -> list[tuple[Any, Any]]:
    """The elements of arrays beside those of others of the same shapes."""
    return [
        (one[index], other[index])
        for one, other in zip(ones, others, strict=True)
        for index in np.ndindex(one.shape)
    ]


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


def _variable_operands(eqn: Eqn, operands: Sequence[Tensor]) -> tuple[list[Any], list[Tensor]]:
    """The operands that are not literals, each once, as `equation_function` takes them."""
    found = {
        atom: tensor
        for atom, tensor in zip(eqn.invars, operands, strict=True)
        if not jax_compat.is_literal(atom)
    }
    return list(found), list(found.values())


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


def _record(interpreter: Interpreter, eqn: Eqn, partials: _Partials) -> None:
    for target, found in partials.items():
        interpreter.tape.custom.append(Elemental(target, jax_compat.rule_name(eqn), tuple(found)))
