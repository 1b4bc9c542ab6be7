"""Evaluates straight-line code in plain Python: what a program means, without printing it.

A generated text that disagrees with its program has a bug in the printer; a program that disagrees
with JAX has one in the engine. Floats follow IEEE 754 (`inf` and `nan`, never an exception), ties
and integers follow JAX. Given `fractions.Fraction` instead of floats the arithmetic is exact, and
whatever has no exact value is refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from fractions import Fraction

from numerics import ALGEBRA, ANALYSIS, OF_DTYPE, Value, represent

from gradgen.ir.code import Atom, Const, Instruction, Var, is_float
from gradgen.ir.program import Program
from gradgen.ir.results import Result


def evaluate(program: Program, inputs: Mapping[Var, Value]) -> dict[Result, Value]:
    """A program's results by key, from a value for each of its inputs.

    Raises ValueError for an input that is missing or an operation that has no value here.
    """
    missing = [variable for variable in program.inputs if variable not in inputs]
    if missing:
        raise ValueError(f"no value for the input {missing[0]}")
    values = evaluate_code(program.instructions, inputs)
    exact = _is_exact(values)
    return {key: _read(atom, values, exact) for key, atom in program.results}


def evaluate_code(
    instructions: Iterable[Instruction], environment: Mapping[Var, Value]
) -> dict[Var, Value]:
    """The environment with the value of every instruction added, by variable."""
    values = dict(environment)
    exact = _is_exact(values)
    for instruction in instructions:
        operands = [_read(atom, values, exact) for atom in instruction.operands]
        values[instruction.target] = _apply(instruction, operands, exact)
    return values


def _is_exact(environment: Mapping[Var, Value]) -> bool:
    return any(isinstance(value, Fraction) for value in environment.values())


def _read(atom: Atom, values: Mapping[Var, Value], exact: bool) -> Value:
    if isinstance(atom, Const):
        is_exact = exact and is_float(atom.dtype) and math.isfinite(atom.value)
        return Fraction(atom.value) if is_exact else atom.value
    return values[atom]


def _apply(instruction: Instruction, operands: list[Value], exact: bool) -> Value:
    op = instruction.op
    attributes = dict(instruction.attributes)
    if op in OF_DTYPE:
        value = OF_DTYPE[op](*operands, dtype=instruction.dtype, **attributes)
    elif op in ALGEBRA:
        value = ALGEBRA[op](*operands, **attributes)
    elif op not in ANALYSIS:
        raise ValueError(f"{op!r} has no counterpart in Python's standard library")
    elif any(isinstance(operand, Fraction) for operand in operands):
        raise ValueError(f"{op!r} of a fraction has no exact value")
    else:
        value = ANALYSIS[op](*operands)
    return represent(value, instruction.dtype, exact)
