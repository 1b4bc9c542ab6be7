"""Loops that carry the same through time are one loop.

The tangents of a loop come from a loop that runs its steps once more. What is computed twice so is
found by partition refinement, as equal states of automata are (Hopcroft 1971): values are numbered
under the assumption that all carries are equal, then with those told apart that begin otherwise, or
that a step makes something else of, until no more are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gradgen.ir.code import Atom, Instruction, Var, substitute
from gradgen.ir.loops import ITEM, LOOP, StepValue, loop_instruction, loop_of
from gradgen.ir.operations import OPERATIONS
from gradgen.ir.program import ACCUMULATION, PRIMAL, Program, Section
from gradgen.lowering.passes import eliminate_dead_code, without_idle

_Path = tuple[Var, ...]
"""Where code stands: the loops around it, by their variables."""


def merge_loops(program: Program) -> Program:
    """The program with one loop for loops that carry the same, in other loops too, as far as what
    it reads is there before it."""
    code, ends = _merged(program.instructions, [atom for _, atom in program.results])
    primal = {i.target for s in program.sections if s.title == PRIMAL for i in s.instructions}
    end = next((k for k, i in enumerate(code) if i.target not in primal), len(code))
    sections = Section(PRIMAL, tuple(code[:end])), Section(ACCUMULATION, tuple(code[end:]))
    results = tuple((r, atom) for (r, _), atom in zip(program.results, ends, strict=True))
    whole = replace(program, sections=sections, results=results)
    found = without_idle(eliminate_dead_code(whole))
    found.check()
    return found


def _merged(
    code: Sequence[Instruction], ends: Sequence[Atom]
) -> tuple[list[Instruction], list[Atom]]:
    """The code with loops merged, and where its ends are."""
    found: Sequence[Instruction] | None = code
    while found is not None:
        code, found = found, _with_two_merged(found)
    same: dict[Var, Var] = {}
    items: dict[tuple[Atom, int], Var] = {}
    once = []
    for i in code:
        moved = substitute(i, same)
        key = (moved.operands[0], moved.attribute("index")) if i.op == ITEM else None
        if key is not None and key in items:
            same[i.target] = items[key]
            continue
        if key is not None:
            items[key] = i.target
        once.append(_merged_inside(moved) if i.op == LOOP else moved)
    return once, [same.get(a, a) if isinstance(a, str) else a for a in ends]


def _merged_inside(instruction: Instruction) -> Instruction:
    loop = loop_of(instruction)
    code, ends = _merged(loop.code, loop.results)
    carried, stacked = ends[: len(loop.carry)], ends[len(loop.carry) :]
    inside = replace(loop, code=tuple(code), carried=tuple(carried), stacked=tuple(stacked))
    return loop_instruction(inside, instruction.operands, instruction.target)


def _with_two_merged(code: Sequence[Instruction]) -> list[Instruction] | None:
    """The code with one loop for the first two that can be one; None if there are none."""
    loops = [i for i in code if i.op == LOOP]
    numbers = _Numbering().of(code) if len(loops) > 1 else {}
    for k, other in enumerate(loops):
        for one in loops[:k]:
            union = _union(one, other, numbers[(one.target,)], numbers[(other.target,)])
            ordered = None if union is None else _with_union(code, union)
            if ordered is not None:
                return ordered
    return None


_Values = dict[Var, int]


@dataclass
class _Numbering:
    """Numbers of values: equal ones have the same."""

    _table: dict[object, int] = field(default_factory=dict)
    _classes: dict[tuple[_Path, Var], int] = field(default_factory=dict)
    """Of what loops carry."""
    _after: dict[tuple[_Path, Var], tuple[int, ...]] = field(default_factory=dict)
    """What tells classes apart: the class so far, what begins it, what a step makes of it."""

    def of(self, code: Sequence[Instruction]) -> dict[_Path, _Values]:
        """The numbers of all variables, by where they are."""
        count = -1
        while True:
            found: dict[_Path, _Values] = {}
            self._number(code, (), {}, found)
            classes = {key: k for k, key in enumerate(dict.fromkeys(self._after.values()))}
            self._classes = {carry: classes[key] for carry, key in self._after.items()}
            if len(classes) == count:
                return found
            count = len(classes)

    def _number(
        self,
        code: Iterable[Instruction],
        path: _Path,
        known: _Values,
        found: dict[_Path, _Values],
    ) -> None:
        found[path] = known
        results: dict[Var, list[int]] = {}
        for i in code:
            operands = [self._atom(atom, known) for atom in i.operands]
            if i.op == LOOP:
                results[i.target] = self._results(i, operands, (*path, i.target), found)
                known[i.target] = self._of(LOOP, *results[i.target])
            elif i.op == ITEM:
                known[i.target] = results[str(i.operands[0])][i.attribute("index")]
            else:
                if OPERATIONS[i.op].commutative:
                    operands.sort()
                known[i.target] = self._of(i.op, *operands, i.attributes, i.dtype)

    def _results(
        self,
        instruction: Instruction,
        operands: Sequence[int],
        path: _Path,
        found: dict[_Path, _Values],
    ) -> list[int]:
        loop = loop_of(instruction)
        way = loop.length, loop.reverse, loop.blocks
        known: _Values = {}
        begins = dict(zip((g.variable for g in loop.given), operands, strict=True))
        for g in loop.constants:
            known[g.variable] = self._of("all", begins[g.variable])
        for g in loop.carry:
            of_class = self._classes.get((path, g.variable), 0)
            known[g.variable] = self._of("carry", of_class, g.shape, g.dtype, way)
        for g in loop.sequences:
            known[g.variable] = self._of("each", begins[g.variable], way)
        self._number(loop.code, path, known, found)
        for g, atom in zip(loop.carry, loop.carried, strict=True):
            self._after[path, g.variable] = (
                known[g.variable], begins[g.variable], self._atom(atom, known)
            )  # fmt: skip
        ends = [self._of("end", known[g.variable]) for g in loop.carry]
        return ends + [self._of("stack", self._atom(a, known), way) for a in loop.stacked]

    def _atom(self, atom: Atom, known: _Values) -> int:
        if isinstance(atom, str):
            return known[atom] if atom in known else self._of("given", atom)
        return self._of("number", repr(atom.value), atom.dtype)

    def _of(self, *key: object) -> int:
        return self._table.setdefault(key, len(self._table))


@dataclass(frozen=True)
class _Union:
    """Two loops as one."""

    instruction: Instruction
    places: Mapping[Var, Mapping[int, int]]
    """Where the results of each are."""


def _union(one: Instruction, other: Instruction, ours: _Values, theirs: _Values) -> _Union | None:
    """Two loops as one, given the numbers of their values; None where they carry nothing alike."""
    a, b = loop_of(one), loop_of(other)
    if (a.length, a.reverse, a.blocks, a.unroll) != (b.length, b.reverse, b.blocks, b.unroll):
        return None
    by_number = {ours[g.variable]: g.variable for g in a.given}
    values: dict[Var, Var] = {
        g.variable: by_number[n] for g in b.given if (n := theirs[g.variable]) in by_number
    }
    if not any(g.variable in values for g in b.carry):
        return None
    new = [g.variable for g in b.given if g.variable not in values]
    by_number |= {ours[i.target]: i.target for i in a.code}
    taken = {g.variable for g in a.given} | {i.target for i in a.code}
    values |= {variable: _fresh(variable, taken) for variable in new}
    added: list[Instruction] = []
    for instruction in b.code:
        there = by_number.get(theirs[instruction.target])
        if there is None:
            there = _fresh(instruction.target, taken)
            added.append(replace(substitute(instruction, values), target=there))
        values[instruction.target] = there

    def moved(atoms: Iterable[Atom]) -> list[Atom]:
        return [values[a] if isinstance(a, str) else a for a in atoms]

    def with_new(mine: tuple[StepValue, ...], more: tuple[StepValue, ...]) -> tuple[StepValue, ...]:
        there = (replace(g, variable=values[g.variable]) for g in more if g.variable in new)
        return (*mine, *there)

    carried = moved(b.carried)
    loop = replace(
        a,
        constants=with_new(a.constants, b.constants),
        carry=with_new(a.carry, b.carry),
        sequences=with_new(a.sequences, b.sequences),
        code=(*a.code, *added),
        carried=(
            *a.carried,
            *(c for g, c in zip(b.carry, carried, strict=True) if g.variable in new),
        ),
        stacked=tuple(dict.fromkeys((*a.stacked, *moved(b.stacked)))),
        hints=(*a.hints, *((values[v], hint) for v, hint in b.hints if v in values)),
    )
    operands = dict(zip((values[g.variable] for g in b.given), other.operands, strict=True))
    operands |= dict(zip((g.variable for g in a.given), one.operands, strict=True))
    carry = [g.variable for g in loop.carry]

    def places(ends: Iterable[Var], stacked: Iterable[Atom]) -> dict[int, int]:
        found = [carry.index(v) for v in ends]
        return dict(enumerate([*found, *(len(carry) + loop.stacked.index(a) for a in stacked)]))

    return _Union(
        loop_instruction(loop, [operands[g.variable] for g in loop.given], one.target),
        {
            one.target: places((g.variable for g in a.carry), a.stacked),
            other.target: places((values[g.variable] for g in b.carry), moved(b.stacked)),
        },
    )


def _fresh(variable: Var, taken: set[Var]) -> Var:
    while variable in taken:
        variable = f"{variable}_"
    taken.add(variable)
    return variable


def _with_union(code: Sequence[Instruction], union: _Union) -> list[Instruction] | None:
    """The code with one loop in place of two, each instruction behind what it reads; None where
    that loop would read what comes of it."""
    waiting = [
        union.instruction if i.target == union.instruction.target else _redirected(i, union)
        for i in code
        if i.target == union.instruction.target or i.target not in union.places
    ]
    targets = {i.target for i in waiting}
    done: set[Var] = set()
    ordered: list[Instruction] = []
    while waiting:
        late = []
        for instruction in waiting:
            if all(v in done or v not in targets for v in instruction.variables):
                ordered.append(instruction)
                done.add(instruction.target)
            else:
                late.append(instruction)
        if len(late) == len(waiting):
            return None
        waiting = late
    return ordered


def _redirected(instruction: Instruction, union: _Union) -> Instruction:
    """A result of one of the two loops as that of their union."""
    if instruction.op != ITEM or instruction.operands[0] not in union.places:
        return instruction
    place = union.places[str(instruction.operands[0])][instruction.attribute("index")]
    attributes = tuple((k, place if k == "index" else v) for k, v in instruction.attributes)
    return replace(instruction, operands=(union.instruction.target,), attributes=attributes)
