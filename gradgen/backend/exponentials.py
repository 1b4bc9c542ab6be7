"""Exponentials of one variable, computed from each other.

Rates of ion channels are exponentials of the same potential, with slopes that are often in simple
ratios: exp(-(v + 35) / 10) is a multiple of exp(-(v + 40) / 10), and exp(-v / 10) the square of
exp(-v / 20). A backward pass that computes them again, for itself alone, need not evaluate each.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gradgen.backend.passes import eliminate_dead_code
from gradgen.ir.code import Atom, Const, Instruction, Var
from gradgen.ir.program import Program, Section

_LARGEST_SHIFT = 8.0
"""Of the logarithm of the factor: beyond it, one might overflow or vanish where the other is far
from it."""


@dataclass(frozen=True)
class _Affine:
    """slope * root + offset."""

    root: Var
    slope: float
    offset: float


@dataclass(frozen=True)
class _Derived:
    """An exponential as a multiple of one that is known, or of its square.

    The flatter of two is never made from the steeper one, which over- and underflows where it does
    not.
    """

    target: Var
    known: Var
    squared: bool
    factor: float


def share_exponentials(program: Program) -> Program:
    """The program with fewer exponentials, equal up to a few roundings; itself if there are none.

    One in a difference that something is divided by stays: 1 - exp(x) loses digits near x = 0, and
    every rounding in front of that counts.
    """
    derived = {d.target: d for d in _derived(program)}
    if not derived:
        return program
    values: dict[Var, tuple[float, Var]] = {}
    sections = []
    for section in program.sections:
        code: list[Instruction] = []
        for instruction in section.instructions:
            found = derived.get(instruction.target)
            if found is None:
                code.append(_scaled(instruction, values))
                continue
            bare = found.known
            if found.squared:
                bare = f"{found.target}_bare"
                code.append(Instruction(bare, "square", (found.known,)))
            values[found.target] = found.factor, bare
            code.append(Instruction(found.target, "mul", (Const(found.factor), bare)))
        sections.append(Section(section.title, tuple(code)))
    return eliminate_dead_code(replace(program, sections=tuple(sections)))


def _scaled(instruction: Instruction, values: Mapping[Var, tuple[float, Var]]) -> Instruction:
    """A product of a number and a derived exponential, with both numbers in one."""
    match instruction.op, instruction.operands:
        case "mul", (Const() as number, str() as x) | (str() as x, Const() as number) if (
            x in values
        ):
            factor, bare = values[x]
            scaled = Const(float(number.value) * factor, number.dtype)
            return replace(instruction, operands=(scaled, bare))
    return instruction


def _derived(program: Program) -> Iterable[_Derived]:
    code = program.instructions
    definitions = {i.target: i for i in code}
    sensitive = _sensitive(code)
    known: list[tuple[Var, _Affine]] = []
    for instruction in code:
        if instruction.op != "exp" or instruction.dtype != "float":
            continue
        exponent = _affine(instruction.operands[0], definitions)
        if exponent is None:
            continue
        if instruction.target not in sensitive:
            best = min(_ways(exponent, known), default=None)
            if best is not None:
                squared, base, shift = best
                yield _Derived(instruction.target, base, squared, math.exp(shift))
        known.append((instruction.target, exponent))


def _ways(
    exponent: _Affine, known: Iterable[tuple[Var, _Affine]]
) -> Iterable[tuple[bool, Var, float]]:
    """Whether to square, what, and the logarithm of the factor; the cheapest way is the least."""
    for variable, other in known:
        for squared in (False, True):
            ratio = 1 + squared
            shift = exponent.offset - ratio * other.offset
            close = math.isclose(exponent.slope, ratio * other.slope, rel_tol=1e-12)
            if other.root == exponent.root and close and abs(shift) <= _LARGEST_SHIFT:
                yield squared, variable, shift


def _sensitive(code: Sequence[Instruction]) -> Collection[Var]:
    """What something is divided by, or a function taken of, and the terms of it.

    There the digits that a difference loses count; 1 + exp(x) loses none.
    """
    positive = {i.target for i in code if i.op == "exp"}
    found: set[Var] = set()
    for instruction in reversed(code):
        match instruction.op, instruction.operands:
            case "div", (_, str() as divisor):
                found.add(divisor)
            case "add", (Const() as number, x) | (x, Const() as number) if (
                number.value > 0 and x in positive
            ):
                continue
            case (("add" | "sub" | "neg" | "mul" | "square" | "integer_pow"), _):
                pass
            case _:
                found.update(instruction.variables)
                continue
        if instruction.target in found:
            found.update(instruction.variables)
    return found


def _affine(atom: Atom, definitions: Mapping[Var, Instruction]) -> _Affine | None:
    """A value as an affine function of the first variable that is none itself."""
    if isinstance(atom, Const):
        return None
    instruction = definitions.get(atom)
    if instruction is not None and instruction.dtype == "float":
        numbers = [float(a.value) for a in instruction.operands if isinstance(a, Const)]
        inner = [a for a in instruction.operands if isinstance(a, str)]
        x = _affine(inner[0], definitions) if len(inner) == 1 else None
        if x is not None:
            match instruction.op, numbers:
                case "neg", []:
                    return _Affine(x.root, -x.slope, -x.offset)
                case "add", [number]:
                    return _Affine(x.root, x.slope, x.offset + number)
                case "sub", [number] if isinstance(instruction.operands[0], Const):
                    return _Affine(x.root, -x.slope, number - x.offset)
                case "sub", [number]:
                    return _Affine(x.root, x.slope, x.offset - number)
                case "mul", [number]:
                    return _Affine(x.root, x.slope * number, x.offset * number)
                case "div", [number] if isinstance(instruction.operands[0], str) and number != 0:
                    return _Affine(x.root, x.slope / number, x.offset / number)
    return _Affine(atom, 1.0, 0.0)
