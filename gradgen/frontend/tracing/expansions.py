"""Primitives that need more than an operation of their own."""

from __future__ import annotations

import numpy as np

from gradgen.frontend.tracing.interpret import Interpreter, Tensor, handles
from gradgen.frontend.tracing.jax_compat import Eqn
from gradgen.ir.code import Const


@handles("one_minus_square")
def _one_minus_square(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    """(1 + x)(1 - x), which is how XLA computes it."""
    dtype = interpreter.dtype(eqn.outvars[0].aval)
    one = Const(1.0)
    result = np.empty(operands[0].shape, object)
    for index in np.ndindex(result.shape):
        x = operands[0][index]
        factors = tuple(interpreter.emit(eqn, op, (one, x), dtype) for op in ("add", "sub"))
        result[index] = interpreter.emit(eqn, "mul", factors, dtype)
    return [result]


@handles("polynomial")
def _polynomial(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    """Horner's rule."""
    x, *coefficients = operands
    dtype = interpreter.dtype(eqn.outvars[0].aval)
    total: Tensor = np.broadcast_to(coefficients[-1], x.shape)
    for coefficient in reversed(coefficients[:-1]):
        wide: Tensor = np.broadcast_to(coefficient, x.shape)
        result = np.empty(x.shape, object)
        for index in np.ndindex(x.shape):
            scaled = interpreter.emit(eqn, "mul", (total[index], x[index]), dtype)
            result[index] = interpreter.emit(eqn, "add", (scaled, wide[index]), dtype)
        total = result
    return [total]


@handles("igamma", "igammac")
def _incomplete_gamma(interpreter: Interpreter, eqn: Eqn, operands: list[Tensor]) -> list[Tensor]:
    """A series in a loop, which XLA computes otherwise where an operand is a number."""
    if any(isinstance(atom, Const) for tensor in operands for atom in tensor.flat):
        raise interpreter.unsupported(
            eqn,
            f"'{eqn.primitive.name}' of a number rounds otherwise from one call to the next",
            hint="pass the number as an argument with a default value",
        )
    return [interpreter.elementwise(eqn, eqn.primitive.name, operands)]
