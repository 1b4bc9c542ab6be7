"""Writes canonical forms as a straight-line program again."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from gradgen.ir.builder import Builder
from gradgen.ir.code import Atom, Const, Instruction, Var, is_float, uses
from gradgen.ir.prices import COUNTED, Prices
from gradgen.ir.program import ACCUMULATION, PARTIALS, PRIMAL, Program, Section
from gradgen.ir.results import OutputValue, Result
from gradgen.lowering.rewriting.forms import ZERO, Term, tidy
from gradgen.lowering.rewriting.reading import CanonicalProgram, is_number
from gradgen.lowering.rewriting.sharing import Key, Sharing, share


def write(
    program: Program, reading: CanonicalProgram, roots: Sequence[Term], prices: Prices = COUNTED
) -> Program:
    """The program with its derivative part computed from rewritten roots."""
    writer = _Writer(program, reading, share(reading.forms, roots, prices))
    remaining = iter(roots)
    for instruction in reading.opaque:
        operands = tuple(
            writer.root(next(remaining)) if is_number(a, reading.values) else a
            for a in instruction.operands
        )
        writer.opaque(replace(instruction, operands=operands))
    results: list[tuple[Result, Atom]] = []
    for key, atom in program.results:
        root = next(remaining) if is_number(atom, reading.values) else None
        # an output is rounded as the source rounds it, which algebra does not know of
        kept = isinstance(key, OutputValue)
        results.append((key, writer.renamed(atom if kept or root is None else writer.root(root))))
    return _absorb_negations(writer.program(results))


class _Writer:
    """Code under construction: each product and sum is written when it is first needed."""

    def __init__(self, program: Program, reading: CanonicalProgram, shared: Sharing) -> None:
        self._program = program
        self._reading = reading
        self._forms = reading.forms
        self._shared = shared
        self._primal = [i for s in program.sections if s.title == PRIMAL for i in s.instructions]
        self._builder = Builder("e", self._primal)
        self._given = {
            tidy(abs(a.value)): abs(a.value)
            for i in self._primal
            for a in i.operands
            if isinstance(a, Const) and is_float(a.dtype)
        }
        """Numbers of the primal, by what they are in forms, which may be off by a rounding."""
        self._products: dict[Key, Atom] = {}
        self._symbols: dict[int, Atom] = {}
        self._renamed: dict[Var, Atom] = {}
        self._keys: dict[Var, Key] = {}
        self._derivative: set[Var] = set()

    def root(self, term: Term) -> Atom:
        """A term that is needed."""
        coefficient, monomial = term
        if not monomial:
            return self._number(coefficient)
        atom = self._product((abs(coefficient), monomial))
        return atom if coefficient > 0 else self._minus(atom)

    def opaque(self, instruction: Instruction) -> None:
        """An instruction of another kind, with its operands as they are now."""
        moved = replace(instruction, operands=tuple(self.renamed(a) for a in instruction.operands))
        found = self._builder.emit_exactly(moved)
        assert found is not None
        self._renamed[instruction.target] = found

    def renamed(self, atom: Atom) -> Atom:
        """Where a variable's value is now."""
        return self._renamed.get(atom, atom) if isinstance(atom, str) else atom

    def program(self, results: Sequence[tuple[Result, Atom]]) -> Program:
        """Everything written so far, in sections, with these results."""
        code = self._builder.instructions
        self._derivative = {i.target for i in code}
        early = self._early(code)
        late = self._derivative - early
        sections = (
            Section(PRIMAL, tuple(self._primal)),
            Section(PARTIALS, tuple(i for i in code if i.target in early)),
            Section(ACCUMULATION, tuple(i for i in code if i.target in late)),
        )
        return replace(
            self._program,
            sections=tuple(s for s in sections if s.instructions),
            results=tuple(results),
            hints=self._hints(results),
        )

    def _product(self, key: Key) -> Atom:
        known = self._products.get(key)
        if known is not None:
            return known
        above: list[Atom] = []
        below: list[Atom] = []
        for symbol, power in sorted(Counter(self._shared.products[key]).items(), key=self._place):
            atom = self._symbol(abs(symbol))
            (above if symbol > 0 else below).append(self._raised(atom, power))
        atom = above[0]
        for factor in above[1:]:
            atom = self._builder.emit("mul", atom, factor)
        for factor in below:
            atom = self._builder.emit("div", atom, factor)
        self._products[key] = atom
        if isinstance(atom, str):
            self._keys.setdefault(atom, key)
        return atom

    def _place(self, counted: tuple[int, int]) -> tuple[bool, int]:
        """Numbers first, then in the order in which values were first seen."""
        return abs(counted[0]) not in self._forms.numbers, abs(counted[0])

    def _symbol(self, symbol: int) -> Atom:
        """An atom's value, or a shared pair's."""
        known = self._symbols.get(symbol)
        if known is not None:
            return known
        atom: Atom
        if symbol in self._forms.variables:
            atom = self.renamed(self._forms.variables[symbol])
        elif symbol in self._forms.negatives:
            atom = self._exactly(Instruction("", "neg", (self._forms.negatives[symbol],)))
        elif symbol in self._forms.numbers:
            atom = self._number(self._forms.numbers[symbol])
        elif symbol in self._forms.sums:
            atom = self._sum(symbol)
        elif symbol in self._shared.reciprocals:
            atom = self._builder.emit(
                "div", Const(1.0), self._symbol(self._shared.reciprocals[symbol])
            )
        elif symbol in self._shared.whole:
            atom = self._product(self._shared.whole[symbol])
        else:
            a, b = sorted(self._shared.pairs[symbol], key=lambda s: (s < 0, self._place((s, 1))))
            if a == b:
                atom = self._raised(self._symbol(a), 2)
            elif b < 0:
                atom = self._builder.emit("div", self._symbol(a), self._symbol(-b))
            else:
                atom = self._builder.emit("mul", self._symbol(a), self._symbol(b))
        self._symbols[symbol] = atom
        return atom

    def _sum(self, number: int) -> Atom:
        terms = self._shared.sums[number]
        first = next(k for k, (sign, _) in enumerate(terms) if sign > 0)
        ordered = [terms[first], *terms[:first], *terms[first + 1 :]]
        atom = self._summand(ordered[0][1])
        for sign, key in ordered[1:]:
            atom = self._builder.emit("add" if sign > 0 else "sub", atom, self._summand(key))
        if isinstance(atom, str):
            self._keys.setdefault(atom, (1.0, (number,)))
        return atom

    def _summand(self, key: Key) -> Atom:
        return self._product(key) if key[1] else self._number(key[0])

    def _number(self, value: float) -> Const:
        """A number, as the primal has it if it does."""
        return Const(math.copysign(self._given.get(abs(value), abs(value)), value))

    def _raised(self, atom: Atom, power: int) -> Atom:
        if power == 1:
            return atom
        return self._exactly(Instruction("", "integer_pow", (atom,), (("y", power),)))

    def _minus(self, atom: Atom) -> Atom:
        definition = self._builder.definition(atom)
        if definition is not None and definition.op == "neg":
            return definition.operands[0]
        # not turned into `y - x`, as `x - y` may be needed too
        return self._exactly(Instruction("", "neg", (atom,)))

    def _exactly(self, instruction: Instruction) -> Atom:
        atom = self._builder.emit_exactly(instruction)
        assert atom is not None
        return atom

    def _early(self, code: Iterable[Instruction]) -> set[Var]:
        """What counts as elemental partials: values that were, as far as they can come first."""
        before = {
            i.target for s in self._program.sections if s.title == PARTIALS for i in s.instructions
        }
        values = self._reading.values
        keys = {(abs(values[v][0]), values[v][1]) for v in before if v in values}
        ready = {*self._program.inputs, *(i.target for i in self._primal)}
        early: set[Var] = set()
        for instruction in code:
            known = instruction.target in before or self._keys.get(instruction.target) in keys
            if known and ready.issuperset(instruction.variables):
                early.add(instruction.target)
                ready.add(instruction.target)
        return early

    def _hints(self, results: Iterable[tuple[Result, Atom]]) -> tuple[tuple[Var, str], ...]:
        """Names for values that had one before, and for the results."""
        before = dict(self._program.hints)
        primal = {i.target for i in self._primal}
        hints = {v: name for v, name in before.items() if v in primal}
        written: dict[Key, Var] = {key: v for v, key in self._keys.items()}
        for (_, old), (_, new) in zip(self._program.results, results, strict=True):
            named = isinstance(old, str) and old in before
            if named and isinstance(new, str) and new in self._derivative:
                hints.setdefault(new, before[str(old)])
        for old, name in before.items():
            value = self._reading.values.get(old, ZERO)
            found = self._renamed.get(old) or written.get(value)
            if found in self._derivative and name not in hints.values():
                hints.setdefault(str(found), name)
        return tuple(hints.items())


def _absorb_negations(program: Program) -> Program:
    """`-(x - y)` is `y - x` and `-(2.0 * x)` is `-2.0 * x` where that serves nothing else."""
    count = uses(program.instructions, (a for _, a in program.results))
    code = [i for s in program.sections if s.title != PRIMAL for i in s.instructions]
    turned = {i.target: i for i in code}
    for instruction in code:
        if instruction.op == "neg":
            changed = _opposite(instruction.operands[0], turned, count)
            if changed:
                turned.update((i.target, i) for i in changed)
                last = changed[-1]
                turned[instruction.target] = replace(last, target=instruction.target)
                del turned[last.target]
    sections = tuple(
        Section(s.title, tuple(turned[i.target] for i in s.instructions if i.target in turned))
        if s.title != PRIMAL
        else s
        for s in program.sections
    )
    return replace(program, sections=sections)


def _opposite(
    atom: Atom, definitions: Mapping[Var, Instruction], count: Mapping[Var, int]
) -> list[Instruction]:
    """Instructions, the atom's own the last, that give it the other sign; none if that costs."""
    found = definitions.get(atom) if isinstance(atom, str) else None
    if found is None or count[found.target] != 1:
        return []
    if found.op == "sub":
        return [replace(found, operands=found.operands[::-1])]
    if found.op not in ("mul", "div"):
        return []
    first, *others = found.operands
    if isinstance(first, Const):
        return [replace(found, operands=(Const(-first.value, first.dtype), *others))]
    inner = _opposite(first, definitions, count)
    return [*inner, found] if inner else []
