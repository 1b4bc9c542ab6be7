"""Takes a loop over time apart: what does not hang on the carry is code on whole sequences.

A product of matrices that every step takes by itself is one product over all steps, before the
loop or after it, and what only such products couple are loops of their own: the operations of a
step are sorted into stages by the strongly connected components of its recurrence, at the heavy
operations only, since whatever is between two stages is stored for all steps (loop distribution:
Allen and Kennedy, *Optimizing Compilers for Modern Architectures*, section 5.3).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from gradgen.ir.code import Atom, Const, Instruction, Var
from gradgen.ir.loop_sums import Emit, over_time, with_plain_sums
from gradgen.ir.loops import (
    Loop,
    StepValue,
    full_instruction,
    item_instruction,
    loop_instruction,
    result_shape,
    with_numbers,
)
from gradgen.ir.operations import OPERATIONS
from gradgen.ir.shapes import Shape
from gradgen.ir.truths import is_truth, truths

_HEAVY = ("einsum", "conv")
_MOVED = ("einsum", "reduce_sum", "transpose", "broadcast", "reshape")
"""What is not elementwise and can be done for all steps at once."""
_STAY = ("copy", "stop_gradient")
"""Rules of their own belong to what a step computes."""


Reads = Callable[[Instruction], Iterable[Var]]
"""What has to be known where an instruction stands, its operands and more."""
Moved = Callable[[Instruction, Mapping[Var, Atom]], Atom | None]
"""Writes what is the same in all steps before the loop, given where all that is the same is; None
where it cannot stand there."""
Lift = Callable[[Instruction, Sequence[Atom], Sequence[bool]], Atom]
"""Writes a convolution for all steps at once, given where its operands are and which of them have
an axis of time."""


def distribute(
    loop: Loop,
    operands: Sequence[Atom],
    emit: Emit,
    moved: Moved,
    reads: Reads,
    lift: Lift | None = None,
    outer_truths: Collection[Var] = (),
) -> list[Atom]:
    """Write a loop as code on sequences and smaller loops; returns where its results are.

    Without `lift`, convolutions stay in the loop. What is 0 or 1 by `outer_truths`, a fact about
    the operands, is put out as truth values where no other loop reads it.
    """
    loop, operands, finals = _without_idle(loop, operands)
    loop, operands, sums = with_plain_sums(loop, operands)
    found = _Stages(loop, operands, emit, moved, reads, lift, outer_truths).run()
    count, more = len(loop.carry), sum(len(s.stacks) for s in sums.values())
    stacks = found[count : len(found) - more]
    for number, pending in sums.items():
        ends = [found[k] for k in pending.stacks] or [found[number]]
        found[number] = pending.total(ends, emit)
    carried = iter(found[:count])
    return [next(carried) if end is None else end for end in finals] + stacks


def _without_idle(
    loop: Loop, operands: Sequence[Atom]
) -> tuple[Loop, Sequence[Atom], list[Atom | None]]:
    """The loop with a carry that never changes among the constants, and where that is."""
    idle = [a == g.variable for a, g in zip(loop.carried, loop.carry, strict=True)]
    first, end = len(loop.constants), len(loop.constants) + len(loop.carry)
    starts = operands[first:end]
    still = [k for k, same in enumerate(idle) if same]
    going = [k for k, same in enumerate(idle) if not same]
    changed = replace(
        loop,
        constants=(*loop.constants, *(loop.carry[k] for k in still)),
        carry=tuple(loop.carry[k] for k in going),
        carried=tuple(loop.carried[k] for k in going),
    )
    given = [*operands[:first], *(starts[k] for k in still), *(starts[k] for k in going)]
    finals = [start if same else None for start, same in zip(starts, idle, strict=True)]
    return changed, [*given, *operands[end:]], finals


class _Stages:
    """Sorts the code of a loop into stages, and writes them."""

    def __init__(
        self,
        loop: Loop,
        operands: Sequence[Atom],
        emit: Emit,
        moved: Moved,
        reads: Reads,
        lift: Lift | None,
        outer_truths: Collection[Var],
    ) -> None:
        self._loop, self._emit, self._moved, self._reads = loop, emit, moved, reads
        self._lift, self._outer_truths = lift, outer_truths
        names = [g.variable for g in loop.given]
        first, end = len(loop.constants), len(loop.constants) + len(loop.carry)
        self._outer = dict(zip(names[:first], operands[:first], strict=True))
        """What is the same in all steps, by what steps call it."""
        self._stacks = dict(zip(names[end:], operands[end:], strict=True))
        """What differs between steps, for all of them."""
        self._starts = operands[first:end]
        self._shapes, self._dtypes = loop.shapes, loop.dtypes

    def run(self) -> list[Atom]:
        """Where the results are."""
        loop = self._loop
        code = self._without_invariants(loop.code)
        levels = self._levels(code)
        finals: dict[int, Atom] = {}
        for level in range(max(levels.values(), default=0) + 1):
            here = [i for i in code if levels[i.target] == level]
            if level % 2 == 0:
                for instruction in here:
                    self._stacks[instruction.target] = self._lifted(instruction)
                continue
            later = [i for i in code if levels[i.target] > level]
            mine = [k for k, g in enumerate(loop.carry) if levels[g.variable] == level]
            looping = [i for i in later if levels[i.target] % 2]
            finals |= self._write(*self._narrowed(here, looping), mine, later)
        for k, given in enumerate(loop.carry):
            # what nothing reads and nothing changes was not among the levels
            finals.setdefault(k, self._start(k, given))
        carried = [finals[k] for k in range(len(loop.carry))]
        return carried + [self._stack(atom) for atom in loop.stacked]

    def _without_invariants(self, code: Iterable[Instruction]) -> list[Instruction]:
        """The code without what is the same in all steps, which is written before the loop."""
        left = []
        for instruction in code:
            same = all(v in self._outer for v in self._reads(instruction))
            atom = None
            if same:
                known = tuple(map(self._known, instruction.operands))
                atom = self._moved(replace(instruction, operands=known), self._outer)
            if atom is None:
                left.append(instruction)
            else:
                self._outer[instruction.target] = atom
        return left

    def _levels(self, code: Sequence[Instruction]) -> dict[Var, int]:
        """The stage of each variable: even where it is made for all steps at once."""
        after = {g.variable: a for g, a in zip(self._loop.carry, self._loop.carried, strict=True)}
        made = {i.target: i for i in code}
        reads: dict[Var, list[Var]] = {
            i.target: [v for v in self._reads(i) if v in made or v in after] for i in code
        }
        reads |= {
            c: [a] if isinstance(a, str) and (a in made or a in after) else []
            for c, a in after.items()
        }
        reached = _reached(reads)
        number = {v: k for k, v in enumerate(reads)}
        # what depends on a recurrence alone depends on as many as that itself
        order = sorted(
            reads, key=lambda v: (reached[v].bit_count(), not reached[v] >> number[v] & 1)
        )
        levels: dict[Var, int] = {}
        for group in _groups(order, reached):
            inside = set(group)
            before = [levels[w] for v in group for w in reads[v] if w not in inside]
            level = max(before, default=0)
            recurrent = bool(reached[group[0]] >> number[group[0]] & 1) or group[0] in after
            if recurrent or not self._lifts(made[group[0]]):
                level += 1 - level % 2
            elif made[group[0]].op in _HEAVY:
                level += level % 2
            levels |= dict.fromkeys(group, level)
        self._bring_in(code, levels, after)
        return levels

    def _bring_in(
        self, code: Sequence[Instruction], levels: dict[Var, int], after: Mapping[Var, Atom]
    ) -> None:
        """What is cheap runs in the loop that alone reads it, and is not stored for all steps."""
        readers: dict[Var, set[int]] = {}
        for v, atom in after.items():
            if isinstance(atom, str):
                readers.setdefault(atom, set()).add(levels[v])
        for instruction in reversed(code):
            target = instruction.target
            found = readers.get(target, set())
            cheap = instruction.op not in _HEAVY and target not in self._loop.stacked
            if levels[target] % 2 == 0 and cheap and len(found) == 1 and min(found) % 2:
                levels[target] = min(found)
            for v in self._reads(instruction):
                readers.setdefault(v, set()).add(levels[target])

    def _lifts(self, instruction: Instruction) -> bool:
        """Whether an operation can be done for all steps at once."""
        if instruction.op in _MOVED:
            return True
        if instruction.op == "conv":
            varying = [v for v in instruction.variables if v not in self._outer]
            return self._lift is not None and len(varying) == 1
        return OPERATIONS[instruction.op].kind != "array" and instruction.op not in _STAY

    def _lifted(self, instruction: Instruction) -> Atom:
        """An operation for all steps at once."""
        timed = tuple(a in self._stacks for a in instruction.operands)
        operands: list[Atom] = []
        if instruction.op == "conv":
            assert self._lift is not None
            operands = [self._stacks.get(v) or self._outer[v] for v in instruction.variables]
            return self._lift(instruction, operands, timed)
        rank = len(self._shapes[instruction.target])
        for atom, varies in zip(instruction.operands, timed, strict=True):
            if not varies:
                operands.append(self._known(atom))
                continue
            assert isinstance(atom, str)
            found, own = self._stacks[atom], self._shapes[atom]
            if OPERATIONS[instruction.op].kind != "array" and len(own) < rank:
                # an axis of time goes in front of all others
                shape = (self._loop.length, *(1,) * (rank - len(own)), *own)
                attributes = (("shape", shape),)
                found = self._emit(
                    Instruction("", "reshape", (found,), attributes, self._dtypes[atom])
                )
            operands.append(found)
        moved = replace(instruction, target="", operands=tuple(operands))
        return self._emit(over_time(moved, timed, self._loop.length))

    def _narrowed(
        self, here: Sequence[Instruction], looping: Sequence[Instruction]
    ) -> tuple[list[Instruction], dict[Var, Var]]:
        """The code of a stage with truth values for what is 0 or 1, and whose they are.

        What later loops read stays as it is, since they would have to convert it in every step.
        """
        if not self._outer_truths:
            return list(here), {}
        known = [v for v, a in self._outer.items() if is_truth(a, self._outer_truths)]
        read = {v for i in looping for v in self._reads(i)} | {*self._loop.carried}
        found = truths(here, known)
        more: list[Instruction] = []
        narrow: dict[Var, Var] = {}
        for instruction in here:
            v = instruction.target
            if v in found and instruction.dtype == "float" and v not in read:
                narrow[v] = f"{v}_is"
                more.append(Instruction(narrow[v], "ne", (v, Const(0.0)), (), "bool"))
                self._shapes[narrow[v]], self._dtypes[narrow[v]] = self._shapes[v], "bool"
        return [*here, *more], narrow

    def _write(
        self,
        here: Sequence[Instruction],
        narrow: Mapping[Var, Var],
        mine: Sequence[int],
        later: Sequence[Instruction],
    ) -> dict[int, Atom]:
        """A loop of one stage; returns where what it carries is in the end.

        What is in `narrow` is put out as its truth value.
        """
        loop = self._loop
        carry = [loop.carry[k] for k in mine]
        inside = {i.target for i in here} | {g.variable for g in carry}
        carried = [loop.carried[k] for k in mine]
        read = dict.fromkeys(v for i in here for v in self._reads(i))
        read |= dict.fromkeys(a for a in carried if isinstance(a, str))
        constants = [v for v in read if v in self._outer]
        sequences = [v for v in read if v in self._stacks and v not in inside]
        needed = {v for i in later for v in self._reads(i)}
        needed |= {a for k, a in enumerate(loop.carried) if k not in mine and isinstance(a, str)}
        needed |= {a for a in loop.stacked if isinstance(a, str)}
        stacked = [
            v for v in (*(i.target for i in here), *(g.variable for g in carry)) if v in needed
        ]
        numbers = {v: a for v in constants if isinstance(a := self._outer[v], Const)}
        new = with_numbers(
            Loop(
                constants=tuple(map(self._given, constants)),
                carry=tuple(carry),
                sequences=tuple(map(self._given, sequences)),
                code=tuple(here),
                carried=tuple(carried),
                stacked=tuple(narrow.get(v, v) for v in stacked),
                length=loop.length,
                reverse=loop.reverse,
                hints=loop.hints,
            ),
            numbers,
        )
        operands = [self._outer[v] for v in constants if v not in numbers]
        operands += [self._start(k, loop.carry[k]) for k in mine]
        operands += [self._stacks[v] for v in sequences]
        made = self._emit(loop_instruction(new, operands))
        assert isinstance(made, str)
        for place, v in enumerate(stacked, start=len(carry)):
            shape, own = result_shape(new, place, self._shapes[v]), narrow.get(v, v)
            item = self._emit(item_instruction(made, place, shape, self._dtypes[own]))
            if own != v:
                item = self._emit(Instruction("", "convert", (item,), (("from", "bool"),)))
            self._stacks[v] = item
        return {
            k: self._emit(item_instruction(made, place, loop.carry[k].shape, loop.carry[k].dtype))
            for place, k in enumerate(mine)
        }

    def _known(self, atom: Atom) -> Atom:
        """What is the same in all steps, where it is outside."""
        return self._outer.get(atom, atom) if isinstance(atom, str) else atom

    def _given(self, variable: Var) -> StepValue:
        return StepValue(variable, self._shapes[variable], self._dtypes[variable])

    def _start(self, number: int, given: StepValue) -> Atom:
        """The carry at the start, as an array."""
        atom = self._starts[number]
        return self._full(atom, given.shape, given.dtype) if isinstance(atom, Const) else atom

    def _full(self, atom: Atom, shape: Shape, dtype: str, own: Shape = ()) -> Atom:
        if not shape:
            return atom
        return self._emit(full_instruction(atom, shape, dtype, own))

    def _stack(self, atom: Atom) -> Atom:
        """What the steps put out, along time."""
        if isinstance(atom, str) and atom in self._stacks:
            return self._stacks[atom]
        known = self._known(atom)
        own = self._shapes[atom] if isinstance(atom, str) else ()
        dtype = self._dtypes[atom] if isinstance(atom, str) else atom.dtype
        return self._full(known, (self._loop.length, *own), dtype, own)


def _reached(reads: Mapping[Var, Sequence[Var]]) -> dict[Var, int]:
    """What each variable depends on, as sets of numbers; itself only through a recurrence."""
    number = {v: k for k, v in enumerate(reads)}
    found = dict.fromkeys(reads, 0)
    changed = True
    while changed:
        changed = False
        for v, operands in reads.items():
            new = found[v]
            for w in operands:
                new |= found[w] | 1 << number[w]
            changed |= new != found[v]
            found[v] = new
    return found


def _groups(order: Sequence[Var], reached: Mapping[Var, int]) -> list[list[Var]]:
    """The strongly connected components, what they depend on first."""
    number = {v: k for k, v in enumerate(reached)}
    groups: dict[int, list[Var]] = {}
    for v in order:
        recurrent = reached[v] >> number[v] & 1
        groups.setdefault(reached[v] if recurrent else -1 - number[v], []).append(v)
    return list(groups.values())
