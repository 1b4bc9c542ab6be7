"""The elemental partials of an operation, from JAX's own JVP rules.

The partial with respect to one operand is the operation's JVP traced with a unit tangent on that
operand alone. A handful are written by hand, because that is cheaper or the same for every version
of JAX; each agrees with JAX at every point, ties included.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp

from gradgen.frontend.tracing import jax_compat, primitives
from gradgen.frontend.tracing.interpret import Interpreter, scalar
from gradgen.frontend.tracing.merge import DTypeDependence, Merging
from gradgen.frontend.tracing.tape import Tape
from gradgen.ir.builder import Builder
from gradgen.ir.code import (
    WORKING,
    Atom,
    Attribute,
    Const,
    DType,
    Instruction,
    Var,
    concrete,
    is_float,
)
from gradgen.ir.operations import OPERATIONS

ONE, ZERO, HALF = Const(1.0), Const(0.0), Const(0.5)


class NoPartialError(Exception):
    """An operation that has no elemental partial; the message is a sentence."""


def emit_partial(
    builder: Builder, instruction: Instruction, slot: int, inputs: Mapping[Var, DType]
) -> Atom:
    """Write the code of one partial; returns where its value is (the constant 0 if there is none).

    `inputs` has the dtypes of the variables that the builder does not know. Raises NoPartialError
    if JAX itself cannot differentiate the operation, or not linearly.
    """
    instruction = _with_floats(builder, instruction, inputs)
    by_hand = _BY_HAND.get(instruction.op)
    if by_hand is not None:
        return by_hand(builder, instruction, slot)
    kinds = tuple(_operand_dtype(builder, atom, inputs) for atom in instruction.operands)
    try:
        template = _template(instruction.op, instruction.attributes, kinds, slot)
    except (NotImplementedError, ValueError) as error:
        raise NoPartialError(
            f"JAX has no derivative of the primitive '{instruction.op}'"
        ) from error
    if template is None:
        attributes = _library_name(instruction, slot)
        return builder.emit_instruction(
            Instruction("", "derivative", instruction.operands, attributes)
        )
    code, result = template
    renaming = {f"%{i}": atom for i, atom in enumerate(instruction.operands)}
    values = builder.splice(code, renaming)
    return values[result] if isinstance(result, str) else result


def _with_floats(
    builder: Builder, instruction: Instruction, inputs: Mapping[Var, DType]
) -> Instruction:
    """The instruction with its operands as floats of one dtype, where arithmetic promotes them."""
    if not OPERATIONS[instruction.op].promotes:
        return instruction

    def as_float(atom: Atom) -> Atom:
        dtype = _operand_dtype(builder, atom, inputs)
        if dtype in WORKING or isinstance(atom, Const):
            return atom
        if is_float(dtype):
            kind = "float" if instruction.dtype == "float" else None
        elif dtype == "bool":
            kind = "bool"
        else:
            # a power may have an integer for its exponent
            kind = None if instruction.op == "pow" else "int"
        if kind is None:
            return atom
        return builder.emit_instruction(Instruction("", "convert", (atom,), (("from", kind),)))

    return replace(instruction, operands=tuple(map(as_float, instruction.operands)))


def _operand_dtype(builder: Builder, atom: Atom, inputs: Mapping[Var, DType]) -> DType:
    if isinstance(atom, Const):
        return atom.dtype
    definition = builder.definition(atom)
    return inputs[atom] if definition is None else definition.dtype


def _library_name(instruction: Instruction, slot: int) -> tuple[tuple[str, Attribute], ...]:
    if instruction.op == "library":
        name = f"jnp.{instruction.attribute('function')}"
    else:
        name = f"lax.{OPERATIONS[instruction.op].lax or instruction.op}"
    return (("function", name), ("argument", slot))


@cache
def _template(
    op: str,
    attributes: tuple[tuple[str, Attribute], ...],
    dtypes: tuple[DType, ...],
    slot: int,
) -> tuple[tuple[Instruction, ...], Atom] | None:
    """Code of a partial on operands %0, %1, ...; None where it depends on the dtype."""
    if op == "library":
        return None
    single, one = _trace_partial(op, attributes, dtypes, slot, "float32")
    double, two = _trace_partial(op, attributes, dtypes, slot, "float64")
    try:
        merging = Merging(f"%{slot}")
        code = merging.code(single.primal, double.primal)
        result = merging.atom(one, two)
    except DTypeDependence:
        return None
    if not isinstance(result, str | Const):
        return None
    return tuple(code), result


def _trace_partial(
    op: str,
    attributes: tuple[tuple[str, Attribute], ...],
    dtypes: tuple[DType, ...],
    slot: int,
    working: str,
) -> tuple[Tape, Atom]:
    function = primitives.function_of(op, attributes)

    def tangent(*operands: Any) -> Any:
        def along(x: Any) -> Any:
            return function(*operands[:slot], x, *operands[slot + 1 :])

        unit = jnp.ones((), operands[slot].dtype)
        _, result = jax.jvp(along, (operands[slot],), (unit,))
        return result

    with jax_compat.x64(working == "float64"):
        avals = [jax_compat.shaped((), concrete(dtype, working)) for dtype in dtypes]
        closed = jax.make_jaxpr(tangent)(*avals)
        tape = Tape()
        interpreter = Interpreter(tape, working, None, with_rules=False)
        operands = [scalar(f"%{i}") for i in range(len(dtypes))]
        (result,) = interpreter.run(closed, operands)
    atom: Atom = result[()]
    return tape, atom


def _select_partial(builder: Builder, instruction: Instruction, slot: int) -> Atom:
    chosen = (ONE, ZERO) if slot == 1 else (ZERO, ONE)
    return builder.emit("select", instruction.operands[0], *chosen)


def _extremum_partial(comparison: str) -> Callable[[Builder, Instruction, int], Atom]:
    """Half a unit at a tie, as JAX has it; nothing where an operand is nan."""

    def partial(builder: Builder, instruction: Instruction, slot: int) -> Atom:
        x, y = instruction.operands[slot], instruction.operands[1 - slot]
        wins = builder.emit_instruction(Instruction("", comparison, (x, y), (), "bool"))
        ties = builder.emit_instruction(Instruction("", "eq", (x, y), (), "bool"))
        return builder.emit("select", wins, ONE, builder.emit("select", ties, HALF, ZERO))

    return partial


def _tanh_partial(builder: Builder, instruction: Instruction, slot: int) -> Atom:
    y = instruction.target
    # (1 + y)(1 - y) and not 1 - y*y, which cancels where tanh saturates
    return builder.emit("mul", builder.emit("add", ONE, y), builder.emit("sub", ONE, y))


def _div_partial(builder: Builder, instruction: Instruction, slot: int) -> Atom:
    _, y = instruction.operands
    if slot == 0:
        return builder.emit("div", ONE, y)
    return builder.emit("neg", builder.emit("div", instruction.target, y))


def _expm1_partial(builder: Builder, instruction: Instruction, slot: int) -> Atom:
    # expm1(x) + 1 would cancel for negative x
    return builder.emit("exp", instruction.operands[0])


def _erf_partial(builder: Builder, instruction: Instruction, slot: int) -> Atom:
    # newer versions of JAX split the square into two numbers, differently in each dtype
    square = builder.emit("square", instruction.operands[0])
    density = builder.emit("exp", builder.emit("neg", square))
    scale = 2.0 / math.sqrt(math.pi)
    return builder.emit("mul", Const(scale if instruction.op == "erf" else -scale), density)


def _no_partial_of_rounding(builder: Builder, instruction: Instruction, slot: int) -> Atom:
    raise NoPartialError(
        "JAX rounds the derivative of 'reduce_precision' to the same precision, and that is not "
        "linear"
    )


def _convert_partial(builder: Builder, instruction: Instruction, slot: int) -> Atom:
    return ONE if is_float(instruction.dtype) else ZERO


_BY_HAND: dict[str, Callable[[Builder, Instruction, int], Atom]] = {
    "add": lambda builder, instruction, slot: ONE,
    "sub": lambda builder, instruction, slot: Const(-1.0) if slot else ONE,
    "neg": lambda builder, instruction, slot: Const(-1.0),
    "mul": lambda builder, instruction, slot: instruction.operands[1 - slot],
    "convert": _convert_partial,
    "reduce_precision": _no_partial_of_rounding,
    "stop_gradient": lambda builder, instruction, slot: ZERO,
    "finfo": lambda builder, instruction, slot: ZERO,
    "select": _select_partial,
    "max": _extremum_partial("gt"),
    "min": _extremum_partial("lt"),
    "tanh": _tanh_partial,
    "div": _div_partial,
    "expm1": _expm1_partial,
    "erf": _erf_partial,
    "erfc": _erf_partial,
}
