"""Builds straight-line code, merging equal instructions and simplifying each as it comes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import copy

from gradgen.ir import algebra
from gradgen.ir.code import Atom, Attribute, Const, DType, Instruction, Var, is_float, substitute
from gradgen.ir.operations import OPERATIONS

_Key = tuple[str, tuple[Atom, ...], tuple[tuple[str, Attribute], ...], DType]


class Builder:
    """A growing piece of straight-line code without common subexpressions (value numbering).

    Instructions emitted by `emit` are simplified algebraically; those by `emit_exactly` only where
    no bit of the result can change.
    """

    def __init__(self, prefix: str, known: Iterable[Instruction] = ()) -> None:
        """Start from instructions that are computed already; new variables begin with `prefix`."""
        self.instructions: list[Instruction] = []
        self.prefix = prefix
        self.line: int | None = None
        """Of the source, that asks for what is added from now on and knows no line of its own."""
        self._definitions: dict[Var, Instruction] = {}
        self._values: dict[_Key, Var] = {}
        for instruction in known:
            self._record(instruction)

    def copy(self) -> Builder:
        """Another builder with the same code."""
        other = copy(self)
        other.instructions = list(self.instructions)
        other._definitions, other._values = dict(self._definitions), dict(self._values)
        return other

    def definition(self, atom: Atom) -> Instruction | None:
        """The instruction that computes a variable, None for inputs and constants."""
        return self._definitions.get(atom) if isinstance(atom, str) else None

    def emit(self, op: str, *operands: Atom) -> Atom:
        """Add a float instruction without attributes; returns where its value is."""
        return self.emit_instruction(Instruction("", op, operands))

    def emit_instruction(self, instruction: Instruction) -> Atom:
        """Add an instruction under a new name, simplified up to rounding."""
        outer, self.line = self.line, instruction.line or self.line
        try:
            return self._simplified(instruction)
        finally:
            self.line = outer

    def _simplified(self, instruction: Instruction) -> Atom:
        exact = self.emit_exactly(instruction, add=False)
        if exact is not None:
            return exact
        if is_float(instruction.dtype):
            simpler = algebra.simplify(self, instruction.op, instruction.operands)
            if simpler is not None:
                return simpler
        elif (folded := self._fold_comparison(instruction)) is not None:
            return folded
        return self._add(instruction, named=False)

    def emit_exactly(self, instruction: Instruction, *, add: bool = True) -> Atom | None:
        """Add an instruction, under its own name if it has one, simplified bit for bit.

        With `add` false, None is returned where there is nothing simpler.
        """
        simpler = algebra.simplify_exactly(
            instruction.op, instruction.operands, instruction.attributes, instruction.dtype
        )
        if simpler is not None:
            return simpler
        return self._add(instruction) if add else None

    def splice(self, code: Iterable[Instruction], renaming: Mapping[Var, Atom]) -> dict[Var, Atom]:
        """Add code whose free variables are renamed; returns where each of its variables is now."""
        values = dict(renaming)
        for instruction in code:
            values[instruction.target] = self.emit_instruction(substitute(instruction, values))
        return values

    def _fold_comparison(self, instruction: Instruction) -> Const | None:
        compare = algebra.COMPARISONS.get(instruction.op)
        constants = [a.value for a in instruction.operands if isinstance(a, Const)]
        if compare is None or len(constants) != 2:
            return None
        return Const(compare(*constants), "bool")

    def _add(self, instruction: Instruction, *, named: bool = True) -> Var:
        key = _key(instruction)
        if (known := self._values.get(key)) is not None:
            return known
        target = (named and instruction.target) or f"{self.prefix}{len(self._definitions)}"
        line = self.line if instruction.line is None else instruction.line
        i = instruction
        added = Instruction(target, i.op, i.operands, i.attributes, i.dtype, line)
        self.instructions.append(added)
        return self._record(added)

    def _record(self, instruction: Instruction) -> Var:
        self._definitions[instruction.target] = instruction
        self._values.setdefault(_key(instruction), instruction.target)
        return instruction.target


def _key(instruction: Instruction) -> _Key:
    operands = instruction.operands
    if OPERATIONS[instruction.op].commutative:
        operands = tuple(sorted(operands, key=_sort_key))
    return instruction.op, operands, instruction.attributes, instruction.dtype


def _sort_key(atom: Atom) -> tuple[bool, str]:
    return isinstance(atom, str), atom if isinstance(atom, str) else repr(atom.value)
