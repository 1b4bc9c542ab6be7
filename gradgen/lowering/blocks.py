"""Runs what goes through time in blocks of steps: loops, and what is done for all steps between.

A region (`regions`) becomes one loop over blocks, whose code is that of some steps: of its loops,
which hand on what they carry from block to block, of products and other operations along time, and
of sums, which it adds up. So what only a region needs exists for one block at a time. What a later
region reads of it is stored, or computed again where that is cheap; with segments, what a block
began with is stored alone, and everything else computed again from there (checkpointing: Griewank
and Walther, *Evaluating Derivatives*, chapter 12).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gradgen.ir.code import Atom, Const, Instruction, Var, live_code
from gradgen.ir.loops import (
    LOOP,
    Blocks,
    Loop,
    StepValue,
    full_instruction,
    item_instruction,
    loop_instruction,
    loop_of,
)
from gradgen.ir.program import Program, Section
from gradgen.ir.shapes import Dim, Sizes, axes_in, operand, shapes_of
from gradgen.lowering.block_body import Body, WholeError, carry_name, made_anew
from gradgen.lowering.over_time import StepCode, stored
from gradgen.lowering.passes import in_one_piece, without_idle
from gradgen.lowering.regions import Regions, regions_of
from gradgen.lowering.spare import without_spare_stacks


@dataclass(frozen=True)
class Taking:
    """How loops are taken in blocks."""

    size: Dim
    """Steps in a block, with the length for `time`."""
    segments: bool
    """Whether only what a block began with is stored."""

    def of(self, length: Dim) -> Dim:
        """The size of a block of a loop of this length."""
        if isinstance(self.size, int):
            return self.size
        simple = isinstance(length, int) or length.isidentifier()
        return self.size.replace("time", str(length) if simple else f"({length})")


def in_blocks(
    program: Program,
    inputs: Sequence[StepValue],
    taking: Taking | None,
    sizes: Sizes,
    late: Iterable[Var] = (),
) -> Program:
    """The program with its loops over time in blocks, as far as these can be taken so.

    `inputs` are those of the program; `sizes` are what the stored bytes are counted at. What
    depends on `late` has blocks of its own.
    """
    if taking is not None:
        program = without_spare_stacks(program)
        for length in lengths_of(program):
            code = program.instructions
            shapes = shapes_of(code, {g.variable: g.shape for g in inputs})
            dtypes = {g.variable: g.dtype for g in inputs} | {i.target: i.dtype for i in code}
            roots = [a for _, a in program.results]
            regions = regions_of(code, roots, shapes, length, late)
            try:
                units = _Blocking(regions, roots, dtypes, taking, sizes).units()
            except WholeError:
                continue
            program = _assembled(program, units)
    program = without_idle(without_idle(in_one_piece(program)))
    program.check()
    return program


def lengths_of(program: Program) -> list[Dim]:
    """The numbers of steps of a program's loops over time, those that are taken step by step."""
    loops = [loop_of(i) for i in program.instructions if i.op == LOOP]
    return list(dict.fromkeys(loop.length for loop in loops if loop.blocks is None))


@dataclass
class _Blocking:
    regions: Regions
    roots: Sequence[Atom]
    dtypes: Mapping[Var, str]
    taking: Taking
    sizes: Sizes

    def units(self) -> dict[Var, list[Instruction]]:
        """For each instruction of a region the instructions in place of the region.

        Raises WholeError where a region needs all steps of something at once.
        """
        regions = self.regions
        self._made = {i.target: i for i in regions.code}
        self._anew = made_anew(regions)
        axes = set(axes_in(regions.shapes.values()))
        # a name as modules have for themselves, and beside it whatever axes are called
        self._steps = next(n for n in ("_steps", "_steps_in_block") if n not in axes)
        bodies = [self._body(number) for number in sorted(regions.reverse)]
        read: set[Atom] = set(self.roots)
        for i in regions.code:
            if regions.stage[i.target] % 2 == 0:
                read.update(i.variables)
        for body in bodies:
            read.update(body.constants, body.timed)
        begun = {pair for body in bodies for pair in body.begun}
        units: dict[Var, list[Instruction]] = {}
        for body in bodies:
            units |= dict.fromkeys(body.own, self._outer(body, read, begun))
        return units

    def _body(self, number: int) -> Body:
        regions = self.regions
        own = regions.region(number)
        mine = frozenset(i.target for i in own)
        earlier = [
            i
            for i in regions.code
            if regions.stage[i.target] % 2
            and regions.stage[i.target] < number
            and i.target not in regions.untimed
        ]
        pool = {i.target for i in earlier}
        needed = [v for i in own for v, timed in regions.reads(i) if timed and v in pool]
        again = self._again(earlier, [v for v in dict.fromkeys(needed) if isinstance(v, str)])
        members = [*again, *own]
        return Body(regions, self._made, self._steps, self._anew, number, members, mine)

    def _again(self, code: Sequence[Instruction], needed: Sequence[Var]) -> list[Instruction]:
        """What is computed again of the regions before."""
        if self.taking.segments:
            return list(live_code(code, needed))
        there = {i.target for i in code}
        shapes, dtypes = self.regions.shapes, self.dtypes
        live = live_code(code, needed)
        read = dict.fromkeys(v for i in live for v in i.variables if v not in there)
        free = {
            v
            for i in live
            for v, timed in self.regions.reads(i)
            if timed and isinstance(v, str) and v not in there
        }
        givens = tuple(StepValue(v, shapes[v], dtypes[v]) for v in read)
        loop = Loop(givens, (), (), (), (), (), self.regions.length, reverse=False)
        steps = StepCode(loop, live, (), tuple(needed), frozenset(free), self.sizes)
        kept = stored(steps, [v for v in needed if v not in free])
        return list(live_code([i for i in live if i.target not in kept], needed))

    def _outer(self, body: Body, read: set[Atom], begun: set[tuple[Var, Var]]) -> list[Instruction]:
        """The loop over blocks, with what it needs before it and with its results."""
        regions, steps = self.regions, self._steps
        shapes, dtypes = regions.shapes, self.dtypes
        size = self.taking.of(regions.length)
        timed = [
            i
            for i in regions.region(body.number)
            if i.target in read and i.target not in regions.untimed and i.op != LOOP
        ]
        loops = [i for i in regions.region(body.number) if regions.is_loop(i)]
        starts = [
            replace(g, variable=carry_name(i.target, g.variable))
            for i in loops
            for g in loop_of(i).carry
            if (i.target, g.variable) in begun
        ]
        hints = {
            carry_name(i.target, g.variable): dict(loop_of(i).hints)[g.variable]
            for i in regions.code
            if regions.is_loop(i)
            for g in loop_of(i).carry
            if g.variable in dict(loop_of(i).hints)
        }
        loop = Loop(
            constants=tuple(StepValue(v, shapes[v], dtypes[v]) for v in body.constants),
            carry=tuple(given for given, _, _ in body.carry),
            sequences=(
                *(StepValue(f"{v}_now", (steps, *shapes[v][1:]), dtypes[v]) for v in body.timed),
                *body.begun.values(),
            ),
            code=tuple(body.code),
            carried=tuple(end for _, _, end in body.carry),
            stacked=(*(i.target for i in timed), *(g.variable for g in starts)),
            length=regions.length,
            reverse=regions.reverse[body.number],
            hints=tuple(hints.items()),
            blocks=Blocks(size, steps),
        )
        target = f"{loops[0].target}_blocks"
        before, operands = [], list[Atom](body.constants)
        for given, start, _ in body.carry:
            if isinstance(start, Const) and given.shape:
                zero = f"{given.variable}_zero"
                before.append(full_instruction(start, given.shape, given.dtype, target=zero))
                start = zero
            operands.append(start)
        operands += body.timed
        operands += [f"{g.variable}_starts" for g in body.begun.values()]
        count: Dim = f"-(-{operand(regions.length)} // {operand(size)})"
        first = len(loop.carry)
        items = [
            replace(item_instruction(target, k, shapes[v], dtypes[v]), target=v)
            for v, k in body.ends.items()
        ]
        items += [
            replace(item_instruction(target, first + k, shapes[i.target], i.dtype), target=i.target)
            for k, i in enumerate(timed)
        ]
        items += [
            replace(
                item_instruction(target, first + len(timed) + k, (count, *g.shape), g.dtype),
                target=f"{g.variable}_starts",
            )
            for k, g in enumerate(starts)
        ]
        return [*before, loop_instruction(loop, operands, target), *items]


def _assembled(program: Program, units: Mapping[Var, list[Instruction]]) -> Program:
    """The program with regions in place of their instructions, each before it is read."""
    code = {i.target: [i] for i in program.instructions} | dict(units)
    producer = {made.target: unit for unit in code.values() for made in unit}
    written: set[int] = set()
    found: list[Instruction] = []

    def write(unit: list[Instruction]) -> None:
        if id(unit) in written:
            return
        written.add(id(unit))
        mine = {i.target for i in unit}
        for v in (v for i in unit for v in i.variables if v not in mine):
            if v in producer:
                write(producer[v])
        found.extend(unit)

    sections = []
    for section in program.sections:
        for i in section.instructions:
            if i.target not in units or i.op == LOOP:
                write(code[i.target])
        sections.append(Section(section.title, tuple(found)))
        found.clear()
    return replace(program, sections=tuple(s for s in sections if s.instructions))
