"""Reads a program's derivative part as canonical forms."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gradgen.ir.code import Atom, Const, Instruction, Var
from gradgen.ir.operations import OPERATIONS
from gradgen.ir.program import PARTIALS, PRIMAL, Program
from gradgen.lowering.rewriting.forms import ZERO, Forms, Term, reciprocal, tidy, times

_LARGEST_POWER = 8
"""Powers beyond this one are left as they are."""


@dataclass(frozen=True)
class CanonicalProgram:
    """A program's derivative part: its opaque instructions and its values in canonical form."""

    forms: Forms
    opaque: tuple[Instruction, ...]
    """Instructions of the derivative that algebra does not look into, in their order."""
    roots: tuple[Term, ...]
    """What is needed: the operands of opaque instructions, then the results."""
    values: Mapping[Var, Term]
    """Every float variable of the program, in canonical form."""


def read(program: Program, float_inputs: Iterable[Var]) -> CanonicalProgram:
    """The canonical forms of a program's derivative part.

    `float_inputs` are the inputs in the working precision: what has another dtype is not looked
    into.
    """
    reader = _Reader(float_inputs)
    opaque: list[Instruction] = []
    for section in program.sections:
        for instruction in section.instructions:
            if section.title == PRIMAL:
                reader.primal(instruction)
            elif not reader.derivative(instruction, section.title == PARTIALS):
                opaque.append(instruction)
    roots = [reader.term(a) for i in opaque for a in i.operands if is_number(a, reader.values)]
    roots += [reader.term(atom) for _, atom in program.results if is_number(atom, reader.values)]
    return CanonicalProgram(reader.forms, tuple(opaque), tuple(roots), reader.values)


def is_number(atom: Atom, values: Mapping[Var, Term]) -> bool:
    """Whether an atom is in the working precision, and finite if it is a constant."""
    if isinstance(atom, Const):
        return atom.dtype in ("weak", "float") and math.isfinite(atom.value)
    return atom in values


class _Reader:
    """Terms for the variables seen so far."""

    def __init__(self, float_inputs: Iterable[Var]) -> None:
        self.forms = Forms()
        self.values: dict[Var, Term] = {v: (1.0, (self.forms.variable(v),)) for v in float_inputs}

    def term(self, atom: Atom) -> Term:
        """An atom in canonical form."""
        if isinstance(atom, Const):
            return (tidy(float(atom.value)), ()) if atom.value else ZERO
        return self.values[atom]

    def primal(self, instruction: Instruction) -> None:
        """Take note of what the primal computes."""
        target = instruction.target
        if instruction.dtype != "float":
            return
        own = self._own(instruction)
        operands = self._operands(instruction)
        product = None if operands is None else _product(instruction, operands)
        self.values[target] = own
        if product is not None and product[1] and math.isfinite(product[0]):
            self.forms.give_product(product, target)
            self.values[target] = product
        elif operands is not None and instruction.op in ("add", "sub"):
            self.forms.give_sum(_summands(instruction, operands), target)

    def derivative(self, instruction: Instruction, partial: bool) -> bool:
        """Read an instruction; false if it is opaque. Sums in partials are kept whole."""
        operands = self._operands(instruction)
        found = None
        if operands is not None and instruction.dtype == "float":
            found = _product(instruction, operands)
            if found is None and instruction.op in ("add", "sub"):
                found = self.forms.total(_summands(instruction, operands))
                found = self.forms.keep_whole(found) if partial else found
            if found is not None and not math.isfinite(found[0]):
                found = None
        if found is None and instruction.dtype == "float":
            self.values[instruction.target] = self._own(instruction)
        elif found is not None:
            self.values[instruction.target] = found
        return found is not None

    def _own(self, instruction: Instruction) -> Term:
        """The variable itself."""
        atom = self.forms.variable(instruction.target)
        if OPERATIONS[instruction.op].nonnegative:
            self.forms.nonnegative.add(atom)
        return 1.0, (atom,)

    def _operands(self, instruction: Instruction) -> list[Term] | None:
        if not all(is_number(a, self.values) for a in instruction.operands):
            return None
        return [self.term(a) for a in instruction.operands]


def _summands(instruction: Instruction, operands: Sequence[Term]) -> list[Term]:
    a, b = operands
    return [a, (-b[0], b[1]) if instruction.op == "sub" else b]


def _product(instruction: Instruction, operands: Sequence[Term]) -> Term | None:
    """The term of a product, quotient, power or sign; None for other operations."""
    op = instruction.op
    if op == "mul":
        return times(operands[0], operands[1])
    if op == "neg":
        return -operands[0][0], operands[0][1]
    if op == "div":
        inverse = _inverse(operands[1])
        return None if inverse is None else times(operands[0], inverse)
    if op in ("square", "integer_pow"):
        exponent = 2 if op == "square" else int(instruction.attribute("y"))
        return _power(operands[0], exponent)
    return None


def _inverse(term: Term) -> Term | None:
    return (tidy(1.0 / term[0]), reciprocal(term[1])) if term[0] else None


def _power(base: Term, exponent: int) -> Term | None:
    if not 0 < abs(exponent) <= _LARGEST_POWER:
        return None
    factor = base if exponent > 0 else _inverse(base)
    if factor is None:
        return None
    power = factor
    for _ in range(abs(exponent) - 1):
        power = times(power, factor)
    return power
