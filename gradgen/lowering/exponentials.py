"""Exponentials of one variable, computed from each other.

Rates of ion channels are exponentials of the same potential, with slopes that are often in simple
ratios: exp(-(v + 35) / 10) is a multiple of exp(-(v + 40) / 10), and exp(-v / 20) the fourth power
of exp(-v / 80). A backward pass that computes them again, for itself alone, need not evaluate each.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gradgen.ir.code import Atom, Const, Instruction, Var
from gradgen.ir.program import Program, Section
from gradgen.lowering.passes import eliminate_dead_code

_HIGHEST_POWER = 4
"""Two multiplications, where an exponential takes about ten; the rounding error of the exponential
grows as much."""
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
    """An exponential as factor * known ** power.

    The flatter of two is never made from the steeper one, which over- and underflows where it does
    not.
    """

    known: Var
    power: int
    factor: float


def share_exponentials(program: Program) -> Program:
    """The program with fewer exponentials, equal up to a few roundings; itself if there are none.

    One in a difference that something is divided by stays: 1 - exp(x) loses digits near x = 0, and
    every rounding in front of that counts.
    """
    derived = _derived(program.instructions)
    if not derived:
        return program
    emission = _Emission(program.instructions, derived)
    sections = tuple(
        Section(section.title, tuple(emission.of(section.instructions)))
        for section in program.sections
    )
    results = tuple((name, emission.renamed(atom)) for name, atom in program.results)
    return eliminate_dead_code(replace(program, sections=sections, results=results))


def _derived(code: Sequence[Instruction]) -> Mapping[Var, _Derived]:
    """What each exponential that need not be evaluated is made from; the flattest are evaluated."""
    definitions = {i.target: i for i in code}
    sensitive = _sensitive(code)
    exponents = {
        i.target: exponent
        for i in code
        if i.op == "exp" and i.dtype == "float"
        if (exponent := _affine(i.operands[0], definitions)) is not None
    }
    found: dict[Var, _Derived] = {}
    known: list[tuple[Var, _Affine]] = []
    for target in sorted(exponents, key=lambda x: (abs(exponents[x].slope), x not in sensitive)):
        ways = [] if target in sensitive else list(_ways(exponents[target], known))
        if ways:
            found[target] = min(ways, key=lambda way: way.power)
        else:
            known.append((target, exponents[target]))
    return found


def _ways(exponent: _Affine, known: Iterable[tuple[Var, _Affine]]) -> Iterator[_Derived]:
    for variable, other in known:
        for power in range(1, _HIGHEST_POWER + 1):
            shift = exponent.offset - power * other.offset
            alike = math.isclose(exponent.slope, power * other.slope, rel_tol=1e-12)
            if other.root == exponent.root and alike and abs(shift) <= _LARGEST_SHIFT:
                yield _Derived(variable, power, math.exp(shift))


class _Emission:
    """Code with derived exponentials; what they are made from is moved in front of them."""

    def __init__(self, code: Iterable[Instruction], derived: Mapping[Var, _Derived]) -> None:
        self._definitions = {i.target: i for i in code}
        self._derived = derived
        self._emitted: set[Var] = set()
        self._bare: dict[Var, Var] = {}

    def of(self, code: Iterable[Instruction]) -> Iterator[Instruction]:
        """The instructions, and before each what it needs."""
        for instruction in code:
            yield from self._with_needs(instruction)

    def renamed(self, atom: Atom) -> Atom:
        """The variable to read instead of one that equals it."""
        found = self._derived.get(atom) if isinstance(atom, str) else None
        return found.known if found is not None and found.power == found.factor == 1 else atom

    def _with_needs(self, instruction: Instruction) -> Iterator[Instruction]:
        target = instruction.target
        if target in self._emitted:
            return
        self._emitted.add(target)
        found = self._derived.get(target)
        needed = instruction.variables if found is None else (found.known,)
        for variable in needed:
            if variable in self._definitions:
                yield from self._with_needs(self._definitions[variable])
        if found is None:
            operands = tuple(self.renamed(atom) for atom in instruction.operands)
            yield self._scaled(replace(instruction, operands=operands))
            return
        bare = found.known
        if found.power > 1:
            bare = target if found.factor == 1 else f"{target}_bare"
            yield Instruction(bare, "integer_pow", (found.known,), (("y", found.power),))
        self._bare[target] = bare
        if found.factor != 1:
            yield Instruction(target, "mul", (Const(found.factor), bare))

    def _scaled(self, instruction: Instruction) -> Instruction:
        """A product of a number and a derived exponential, with both numbers in one."""
        match instruction.op, instruction.operands:
            case "mul", (Const() as number, str() as x) | (str() as x, Const() as number) if (
                x in self._bare
            ):
                scaled = Const(float(number.value) * self._derived[x].factor, number.dtype)
                return replace(instruction, operands=(scaled, self._bare[x]))
        return instruction


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
            case (("add" | "sub" | "neg" | "mul" | "div" | "square"), _):
                pass
            case "integer_pow", _ if int(instruction.attribute("y")) > 0:
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
