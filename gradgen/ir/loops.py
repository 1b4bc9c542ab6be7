"""Loops over time: what one step computes, and from what.

A loop is one instruction, whose operands are what all steps read, the carry at the start, and
sequences with an axis of time in front. Its results are `item`s: the carry at the end, then what
the steps put out, stacked along time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gradgen.ir.code import (
    Atom,
    Const,
    DType,
    Instruction,
    Nested,
    Var,
    live_code,
    shown_atom,
    substitute,
)
from gradgen.ir.shapes import Dim, Shape, shapes_of, written

LOOP, ITEM, START = "loop", "item", "start"
TUPLE: DType = "tuple"
"""The dtype of a loop: its results are of many."""
COUNTED = ("counted", True)
"""The attribute of what counts the steps of a loop, and so begins anew where a part of a loop does:
its steps' numbers (`iota`), and the last of these (`size`)."""


@dataclass(frozen=True)
class StepValue:
    """What a step is given, by a name of its own."""

    variable: Var
    shape: Shape
    dtype: DType


@dataclass(frozen=True)
class Blocks:
    """How a loop runs over blocks of steps: its code is that of a block."""

    size: Dim
    """How many steps a block has, but for the last one, which has what is left."""
    steps: str
    """The axis of a block's steps: what has it in front is read and put out step by step, all
    else once a block."""


@dataclass(frozen=True)
class Loop(Nested):
    """A loop over time; the variables of its steps are its own."""

    constants: tuple[StepValue, ...]
    carry: tuple[StepValue, ...]
    sequences: tuple[StepValue, ...]
    """Each as one step has it."""
    code: tuple[Instruction, ...]
    carried: tuple[Atom, ...]
    """The carry after a step."""
    stacked: tuple[Atom, ...]
    """What a step puts out."""
    length: Dim
    reverse: bool
    hints: tuple[tuple[Var, str], ...] = ()
    """What people would call a variable."""
    blocks: Blocks | None = None
    """Whether the steps are taken in blocks; operands and results have an axis of time even so."""
    unroll: int = 1
    """How many steps are written out in a row where it is compiled."""

    @property
    def given(self) -> tuple[StepValue, ...]:
        """All inputs of a step, in the order of the operands."""
        return (*self.constants, *self.carry, *self.sequences)

    @property
    def results(self) -> tuple[Atom, ...]:
        """The carry after a step, then what it puts out."""
        return (*self.carried, *self.stacked)

    @property
    def each_step(self) -> tuple[bool, ...]:
        """Of what a block puts out, whether it has an axis of steps, or is put out once."""
        assert self.blocks is not None
        shapes = self.shapes
        return tuple(
            isinstance(a, str) and shapes[a][:1] == (self.blocks.steps,) for a in self.stacked
        )

    @property
    def shapes(self) -> dict[Var, Shape]:
        """Of all variables of a step."""
        return shapes_of(self.code, {g.variable: g.shape for g in self.given})

    @property
    def dtypes(self) -> dict[Var, DType]:
        """Of all variables of a step."""
        return {g.variable: g.dtype for g in self.given} | {i.target: i.dtype for i in self.code}


def loop_of(instruction: Instruction) -> Loop:
    """The loop that an instruction is."""
    found: Loop = instruction.attribute("loop")
    return found


def loop_instruction(loop: Loop, operands: Sequence[Atom], target: Var = "") -> Instruction:
    """A loop on these operands, without its results."""
    return Instruction(target, LOOP, tuple(operands), (("loop", loop), ("shape", ())), TUPLE)


def item_instruction(loop: Var, index: int, shape: Shape, dtype: DType) -> Instruction:
    """A result of a loop, by its number."""
    return Instruction("", ITEM, (loop,), (("index", index), ("shape", shape)), dtype)


def full_instruction(
    atom: Atom, shape: Shape, dtype: DType, own: Shape = (), target: Var = ""
) -> Instruction:
    """A number as an array of this shape; or an array, of axes of its `own`, with more in front."""
    dims = tuple(range(len(shape) - len(own), len(shape)))
    attributes = (("dims", dims), ("own", own), ("shape", shape))
    return Instruction(target, "broadcast", (atom,), attributes, dtype)


def start_instruction(operand: Atom, loop: Var, carry: StepValue) -> Instruction:
    """What a loop's carry began with: its operand, or another where a part of the loop begins."""
    attributes = (("loop", loop), ("carry", carry.variable), ("shape", carry.shape))
    return Instruction("", START, (operand,), attributes, carry.dtype)


def without_starts(code: Iterable[Instruction]) -> tuple[dict[Var, Atom], list[Instruction]]:
    """Code of loops that are not taken apart: what a carry began with is what the loop was given.

    Returns where that is, and the rest of the code.
    """
    begun: dict[Var, Atom] = {}
    left = []
    for instruction in code:
        instruction = substitute(instruction, begun)
        if instruction.op == START:
            begun[instruction.target] = instruction.operands[0]
        else:
            left.append(instruction)
    return begun, left


def result_shape(loop: Loop, index: int, shape: Shape) -> Shape:
    """The shape of a result, from what it is in one step."""
    return shape if index < len(loop.carry) else (loop.length, *shape)


def nested(code: Iterable[Instruction]) -> Iterator[Instruction]:
    """All instructions, those in loops too."""
    for instruction in code:
        if instruction.op == LOOP:
            yield from nested(loop_of(instruction).code)
        yield instruction


def pretty(code: Iterable[Instruction]) -> list[str]:
    """The code line by line, the steps of loops below these."""
    lines = []
    for instruction in code:
        if instruction.op != LOOP:
            lines.append(instruction.pretty())
            continue
        loop = loop_of(instruction)
        given = ", ".join(map(shown_atom, instruction.operands))
        way = "backwards over" if loop.reverse else "over"
        lines.append(f"{instruction.target} = loop({given}), {way} {loop.length} steps of")
        for what, group in (
            ("the same in all", loop.constants),
            ("carried", loop.carry),
            ("one of each", loop.sequences),
        ):
            if group:
                lines.append(f"  {what}: {', '.join(_shown(g) for g in group)}")
        lines += [f"  {line}" for line in pretty(loop.code)]
        for what, atoms in (("carries on", loop.carried), ("puts out", loop.stacked)):
            if atoms:
                lines.append(f"  {what}: {', '.join(map(shown_atom, atoms))}")
    return lines


def _shown(given: StepValue) -> str:
    return f"{given.variable}:{given.dtype}{written(given.shape)}"


def pruned(code: Sequence[Instruction], roots: Iterable[Atom]) -> tuple[Instruction, ...]:
    """The live code, its loops without what nobody reads of them."""
    roots = list(roots)
    code = live_code(code, roots)
    if all(instruction.op != LOOP for instruction in code):
        return code
    read: dict[Var, set[int]] = {}
    for instruction in code:
        if instruction.op == ITEM:
            read.setdefault(instruction.operands[0], set()).add(instruction.attribute("index"))  # type: ignore[arg-type]
    numbers: dict[Var, Mapping[int, int]] = {}
    found = []
    for instruction in code:
        if instruction.op == LOOP:
            instruction, numbers[instruction.target] = _pruned(
                instruction, read[instruction.target]
            )
        elif instruction.op == ITEM:
            index = numbers[instruction.operands[0]][instruction.attribute("index")]  # type: ignore[index]
            shape = instruction.attribute("shape")
            instruction = replace(instruction, attributes=(("index", index), ("shape", shape)))
        found.append(instruction)
    # operands of loops may be read by nobody any more
    return live_code(found, roots)


def _pruned(instruction: Instruction, read: set[int]) -> tuple[Instruction, Mapping[int, int]]:
    """A loop with what is read of it, and the new numbers of its results."""
    loop, count = loop_of(instruction), len(loop_of(instruction).carry)
    place = {g.variable: k for k, g in enumerate(loop.carry)}
    kept, size = {k for k in read if k < count}, -1
    stacked = sorted(k for k in read if k >= count)
    while size != len(kept):
        size = len(kept)
        roots = [loop.results[k] for k in (*sorted(kept), *stacked)]
        needed = {v for i in live_code(loop.code, roots) for v in i.variables} | set(roots)
        kept |= {place[v] for v in needed if isinstance(v, str) and v in place}
    order = (*sorted(kept), *stacked)
    code = pruned(loop.code, roots)
    used = {v for i in code for v in i.variables} | {a for a in roots if isinstance(a, str)}
    groups = (loop.constants, loop.carry, loop.sequences)
    flags = [g.variable in used for g in loop.constants]
    flags += [k in kept for k in range(count)]
    flags += [g.variable in used for g in loop.sequences]
    marked = iter(flags)
    constants, carry, sequences = (tuple(g for g in group if next(marked)) for group in groups)
    fewer = replace(
        loop,
        constants=constants,
        carry=carry,
        sequences=sequences,
        code=code,
        carried=tuple(loop.carried[k] for k in sorted(kept)),
        stacked=tuple(loop.results[k] for k in stacked),
    )
    operands = [o for o, flag in zip(instruction.operands, flags, strict=True) if flag]
    return (
        loop_instruction(fewer, operands, instruction.target),
        {old: new for new, old in enumerate(order)},
    )


def without_copies(loop: Loop) -> Loop:
    """The loop without what only tells what is differentiated, and computes nothing."""
    code, results = uncopied(loop.code, (*loop.carried, *loop.stacked))
    carried = len(loop.carried)
    return replace(loop, code=code, carried=results[:carried], stacked=results[carried:])


def uncopied(
    code: Sequence[Instruction], results: Sequence[Atom]
) -> tuple[tuple[Instruction, ...], tuple[Atom, ...]]:
    """The same of any code, with its results."""
    same: dict[Var, Atom] = {}
    kept = []
    for instruction in code:
        moved = substitute(instruction, same)
        if moved.op in ("copy", "stop_gradient"):
            same[moved.target] = moved.operands[0]
        elif moved.op == LOOP:
            inner = without_copies(loop_of(moved))
            kept.append(loop_instruction(inner, moved.operands, moved.target))
        else:
            kept.append(moved)
    return tuple(kept), tuple(same.get(a, a) if isinstance(a, str) else a for a in results)


def with_numbers(loop: Loop, values: Mapping[Var, Const]) -> Loop:
    """The loop with some of its constants as numbers."""
    return replace(
        loop,
        constants=tuple(g for g in loop.constants if g.variable not in values),
        code=tuple(substitute(i, values) for i in loop.code),
        carried=tuple(values.get(a, a) if isinstance(a, str) else a for a in loop.carried),
        stacked=tuple(values.get(a, a) if isinstance(a, str) else a for a in loop.stacked),
    )
