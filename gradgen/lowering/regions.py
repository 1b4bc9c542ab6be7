"""Which parts of a program run through time together: regions, each of one direction.

All loops of one length, and the operations along time between them, are sorted into stages. In a
region, an odd stage, a step of one reads of the others what belongs to that step alone; whatever
needs all steps of something stands in an even stage, or in a later region.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gradgen.ir.code import Atom, Instruction, Var
from gradgen.ir.loops import COUNTED, ITEM, LOOP, START, Loop, loop_of
from gradgen.ir.shapes import Dim, Shape
from gradgen.lowering.along_time import Along, along_time
from gradgen.lowering.along_time import reads as reads_along

_LAST = 1 << 30
"""After all stages."""


@dataclass
class Regions:
    """The stages of a program's instructions."""

    code: Sequence[Instruction]
    length: Dim
    shapes: Mapping[Var, Shape]
    late: set[Var]
    """What only a later pass can compute: its regions are others."""
    stage: dict[Var, int] = field(default_factory=dict)
    along: dict[Var, Along] = field(default_factory=dict)
    """What operations do along time."""
    reverse: dict[int, bool] = field(default_factory=dict)
    """The direction of each region."""
    later: dict[int, bool] = field(default_factory=dict)
    """Whether a region belongs to the later pass."""
    untimed: set[Var] = field(default_factory=set)
    """What a region has in its end alone: its sums, and what its loops carry."""

    def region(self, number: int) -> list[Instruction]:
        """The instructions of a region, in order."""
        return [i for i in self.code if self.stage[i.target] == number]

    def reads(self, instruction: Instruction) -> list[tuple[Atom, bool]]:
        """The operands, and whether a step reads its own part alone."""
        if self.is_loop(instruction):
            return loop_reads(instruction)
        if instruction.op == ITEM:
            (loop,) = instruction.variables
            return [(loop, self.stage.get(loop, 0) % 2 == 1)]
        if instruction.target in self.along:
            return reads_along(instruction, self.along[instruction.target])
        return [(a, False) for a in instruction.operands]

    def is_loop(self, instruction: Instruction) -> bool:
        """Whether it is one of the loops that regions are about."""
        if instruction.op != LOOP:
            return False
        loop = loop_of(instruction)
        return loop.length == self.length and loop.blocks is None

    def is_timed(self, v: Var) -> bool:
        """Whether it is made in a region, step by step."""
        return self.stage.get(v, 0) % 2 == 1 and v not in self.untimed


def loop_reads(instruction: Instruction) -> list[tuple[Atom, bool]]:
    """What a loop reads: sequences, and what it reads of the step before, step by step."""
    loop = loop_of(instruction)
    first, end = len(loop.constants), len(loop.constants) + len(loop.carry)
    stacks = stacks_of(loop)
    timed = [g.variable in stacks for g in loop.given[:first]]
    timed += [False] * (end - first) + [True] * len(loop.sequences)
    return list(zip(instruction.operands, timed, strict=True))


def stacks_of(loop: Loop) -> set[Atom]:
    """The constants of a loop of which it reads the step before."""
    return {i.operands[0] for i in loop.code if i.op == "at_step"}


def is_local(instruction: Instruction | None) -> bool:
    """Whether it counts the steps of a region, or is what a loop began with there."""
    if instruction is None:
        return False
    return instruction.op == START or COUNTED in instruction.attributes


def regions_of(
    code: Sequence[Instruction],
    roots: Iterable[Atom],
    shapes: Mapping[Var, Shape],
    length: Dim,
    late: Iterable[Var],
) -> Regions:
    """The stages of code; `shapes` are those of all its variables.

    What depends on `late` belongs to a pass of its own.
    """
    found = Regions(code, length, shapes, set(late))
    for i in code:
        if not found.late.isdisjoint(i.variables):
            found.late.add(i.target)
        _place(found, i)
    _pull_in(found, set(roots))
    return found


def _place(found: Regions, i: Instruction) -> None:
    """As early as what it reads is there."""
    stage = found.stage
    along = None
    if i.op not in (LOOP, ITEM) and not is_local(i):
        along = along_time(i, found.shapes, found.length)
    if along is not None:
        found.along[i.target] = along
    low = 0
    for v, timed in found.reads(i):
        own = stage.get(v, 0) if isinstance(v, str) else 0
        low = max(low, own if timed and v not in found.untimed else own + own % 2)
    if i.op == START:
        # its loop has to be over where another begins
        own = stage.get(i.attribute("loop"), 0)
        low = max(low, own + own % 2)
    late = i.target in found.late
    if found.is_loop(i):
        low += 1 - low % 2
        kind = loop_of(i).reverse, late
        while (found.reverse.get(low, kind[0]), found.later.get(low, late)) != kind:
            low += 2
        found.reverse[low], found.later[low] = kind
    elif i.op == ITEM and low % 2:
        (loop,) = (j for j in found.code if j.target == i.operands[0])
        if i.attribute("index") < len(loop_of(loop).carry):
            found.untimed.add(i.target)
    elif along is None or found.later.get(low, late) != late:
        low += low % 2
    if along is not None and along.sums:
        found.untimed.add(i.target)
    stage[i.target] = low


def _pull_in(found: Regions, roots: set[Atom]) -> None:
    """What only steps read, one by one, is done in the first region that reads it; a sum of what
    is at hand in a region that follows."""
    stage = found.stage
    first: dict[Var, int] = {}
    for i in reversed(found.code):
        own, target = stage[i.target], i.target
        reader = first.get(target, _LAST)
        along = found.along.get(target)
        if along is not None and own % 2 == 0 and (target not in roots or along.sums):
            late = target in found.late
            if along.sums:
                if own and found.later.get(own + 1) == late and reader > own + 1:
                    stage[target] = own + 1
            elif reader > own and reader in found.later:
                stage[target] = reader
        for v, timed in found.reads(i):
            if not isinstance(v, str):
                continue
            needed = stage[target]
            # an untimed read has to be there before the region
            needed -= needed % 2 and not (timed and v not in found.untimed)
            first[v] = min(first.get(v, _LAST), needed)
