"""Masks select last: no product is taken of a zero that a mask has made and of an infinity.

The branch of `where` that is not taken has a derivative all the same, which may be infinite or nan
there, as that of `where(t > 0, exp(-t / tau), 0)` is far below zero. What it is multiplied by is
zero, and so is the product to be: the selection is made once more on the product. JAX's forward
mode, which comes from the inputs, meets the mask last too; in any other order the mask comes first.

This is the last pass, so that it holds whatever the order of the accumulation and the algebra on it
made of the derivative. It takes no operation.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import reduce

from gradgen.ir.algebra import mask_values
from gradgen.ir.builder import Builder
from gradgen.ir.code import Atom, Const, Instruction, Var, is_float, is_zero, substitute
from gradgen.ir.operations import OPERATIONS
from gradgen.ir.program import PRIMAL, Program, Section
from gradgen.lowering.conditions import ALWAYS, NEVER, Condition, both, either, implies, when
from gradgen.lowering.passes import eliminate_dead_code

ZERO, HALF = Const(0.0), Const(0.5)


def select_last(program: Program) -> Program:
    """The program with its masks behind products that they would not undo; itself if none is."""
    masking = _Masking(program)
    sections = []
    for section in program.sections:
        code = section.instructions
        if section.title != PRIMAL:
            start = len(masking.builder.instructions)
            for instruction in code:
                masking.add(instruction)
            code = tuple(masking.builder.instructions[start:])
        sections.append(Section(section.title, code))
    if not masking.changed:
        return program
    results = tuple((key, masking.renamed(atom)) for key, atom in program.results)
    masked = eliminate_dead_code(replace(program, sections=tuple(sections), results=results))
    masked.check()
    return masked


class _Masking:
    """The code so far, and where each value of it may be other than zero, or infinite or nan."""

    def __init__(self, program: Program) -> None:
        primal = [i for s in program.sections if s.title == PRIMAL for i in s.instructions]
        self.builder = Builder("m", primal)
        self.changed = False
        self._primal = {i.target for i in primal}
        self._renamed: dict[Var, Atom] = {}
        self._nonzero: dict[Var, Condition] = {}
        self._infinite: dict[Var, Condition] = dict.fromkeys(program.inputs, NEVER)
        self._bounded: set[Var] = set()
        for instruction in primal:
            self._note(instruction)

    def renamed(self, atom: Atom) -> Atom:
        """Where a value is now."""
        return self._renamed.get(atom, atom) if isinstance(atom, str) else atom

    def add(self, instruction: Instruction) -> None:
        """The next instruction of the derivative."""
        moved = substitute(instruction, self._renamed)
        where = self._needs_mask(moved)
        if where is None:
            atom = self._emit(moved)
        else:
            self.changed = True
            operands = tuple(self._unmasked(atom, where) for atom in moved.operands)
            product = self._emit(replace(moved, target="", operands=operands))
            atom = self._masked(moved.target, where, product)
        self._renamed[instruction.target] = atom

    def _emit(self, instruction: Instruction) -> Atom:
        atom = self.builder.emit_exactly(instruction)
        assert atom is not None
        if isinstance(atom, str) and atom not in self._infinite:
            self._note(replace(instruction, target=atom))
        return atom

    def _note(self, instruction: Instruction) -> None:
        """Find out where a new value may be other than zero, and where infinite."""
        self._nonzero[instruction.target] = self._nonzero_of(instruction)
        self._infinite[instruction.target] = self._infinite_of(instruction)
        if self._is_bounded(instruction):
            self._bounded.add(instruction.target)

    def _needs_mask(self, instruction: Instruction) -> Condition | None:
        """Where a product is other than zero, if it might be nan elsewhere."""
        if not is_float(instruction.dtype) or instruction.op not in ("mul", "div"):
            return None
        a, b = instruction.operands
        nonzero = self.nonzero(a)
        if instruction.op == "mul":
            infinite = (b, nonzero), (a, self.nonzero(b))
            safe = all(implies(self.infinite(x), y) for x, y in infinite)
            nonzero = both(nonzero, self.nonzero(b))
        else:
            # a variable may be zero
            safe = isinstance(b, Const) and b.value != 0
        return None if safe or nonzero in (ALWAYS, NEVER) else nonzero

    def nonzero(self, atom: Atom) -> Condition:
        """Where a value may be other than zero: everywhere, as far as no mask says otherwise."""
        if isinstance(atom, Const):
            return NEVER if is_zero(atom) else ALWAYS
        return self._nonzero.get(atom, ALWAYS)

    def infinite(self, atom: Atom) -> Condition:
        """Where a value may be infinite or nan."""
        if isinstance(atom, Const):
            return NEVER if math.isfinite(atom.value) else ALWAYS
        return self._infinite[atom]

    def _nonzero_of(self, instruction: Instruction) -> Condition:
        mask = mask_values(self.builder, instruction.target)
        if mask is not None and isinstance(mask[0], str):
            condition, if_true, if_false = mask
            return self._choice(condition, *(ALWAYS if x else NEVER for x in (if_true, if_false)))
        if instruction.target in self._primal and instruction.op != "select":
            # a zero among the source's own values is multiplied by JAX too
            return ALWAYS
        if self._is_tied(instruction):
            # and so is the partial of a maximum
            return ALWAYS
        found = list(map(self.nonzero, instruction.operands))
        match instruction.op:
            case "select":
                return self._choice(instruction.operands[0], found[1], found[2])
            case "mul":
                return both(*found)
            case "add" | "sub":
                return either(*found)
            case "neg" | "div" | "square" | "convert":
                return found[0]
        return ALWAYS

    def _is_tied(self, instruction: Instruction) -> bool:
        """Whether this is one, a half at a tie, and else zero."""
        match instruction.op, instruction.operands:
            case "select", (_, Const(value=1), str() as other):
                tie = self.builder.definition(other)
                return tie is not None and tie.operands[1:] == (HALF, ZERO)
        return False

    def _infinite_of(self, instruction: Instruction) -> Condition:
        if not is_float(instruction.dtype):
            return NEVER
        found = list(map(self.infinite, instruction.operands))
        match instruction.op, instruction.operands:
            case "select", (condition, _, _):
                return self._choice(condition, found[1], found[2])
            case "mul", factors if any(map(self._is_small, factors)):
                return either(*found)
            case "div", (_, Const(value=divisor)) if divisor:
                return found[0]
            case op, _ if OPERATIONS[op].size != "any":
                return either(*found)
        return self.nonzero(instruction.target)

    def _is_bounded(self, instruction: Instruction) -> bool:
        """Whether a value is small where it is finite: a product with it does not overflow."""
        size = OPERATIONS[instruction.op].size
        if size == "small" or mask_values(self.builder, instruction.target) is not None:
            return True
        operands = instruction.operands[instruction.op == "select" :]
        return (size == "kept" or instruction.op == "mul") and all(map(self._is_small, operands))

    def _is_small(self, atom: Atom) -> bool:
        return isinstance(atom, Const) or atom in self._bounded

    def _choice(self, condition: Atom, if_true: Condition, if_false: Condition) -> Condition:
        if isinstance(condition, Const):
            return if_true if condition.value else if_false
        variable, value = self._truth(condition)
        return either(
            both(when(variable, value), if_true), both(when(variable, not value), if_false)
        )

    def _truth(self, variable: Var) -> tuple[Var, bool]:
        """A truth value, seen through negations."""
        definition = self.builder.definition(variable)
        if definition is not None and definition.op == "not":
            (inner,) = definition.operands
            if isinstance(inner, str):
                found, value = self._truth(inner)
                return found, not value
        return variable, True

    def _unmasked(self, atom: Atom, where: Condition) -> Atom:
        """A derivative before masks that are put behind the product, as a condition says."""
        while isinstance(atom, str) and atom not in self._primal:
            definition = self.builder.definition(atom)
            if definition is None or definition.op != "select":
                break
            condition, if_true, if_false = definition.operands
            if is_zero(if_false) and implies(where, self._choice(condition, ALWAYS, NEVER)):
                atom = if_true
            elif is_zero(if_true) and implies(where, self._choice(condition, NEVER, ALWAYS)):
                atom = if_false
            else:
                break
        return atom

    def _masked(self, target: Var, where: Condition, product: Atom) -> Atom:
        """The product where a condition holds, and zero elsewhere."""
        cases = sorted(sorted(case) for case in where)
        if len(cases) == 1 and len(cases[0]) == 1 and not cases[0][0][1]:
            chosen: tuple[Atom, ...] = cases[0][0][0], ZERO, product
        else:
            alternatives = [reduce(self._and, map(self._literal, case)) for case in cases]
            chosen = reduce(self._or, alternatives), product, ZERO
        return self._emit(Instruction(target, "select", chosen))

    def _literal(self, literal: tuple[Var, bool]) -> Atom:
        variable, value = literal
        return variable if value else self._logic("not", variable)

    def _and(self, left: Atom, right: Atom) -> Atom:
        return self._logic("and", left, right)

    def _or(self, left: Atom, right: Atom) -> Atom:
        return self._logic("or", left, right)

    def _logic(self, op: str, *operands: Atom) -> Atom:
        return self._emit(Instruction("", op, operands, (), "bool"))
