"""The code of a block of steps: that of a region, whose loops hand on what they carry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gradgen.ir.code import Atom, Const, Instruction, Var, is_float
from gradgen.ir.loops import (
    ITEM,
    START,
    StepValue,
    item_instruction,
    loop_instruction,
    loop_of,
)
from gradgen.lowering.along_time import in_steps
from gradgen.lowering.regions import Regions, is_local, stacks_of


class WholeError(Exception):
    """Something needs all steps at once."""


def carry_name(loop: Var, carry: Var) -> Var:
    """What the code of a block calls what it is given of a loop's carry."""
    return f"{loop}_{carry}"


@dataclass
class Body:
    """The code of a block of a region under construction."""

    regions: Regions
    made: Mapping[Var, Instruction]
    """All instructions of the program, by what they make."""
    steps: str
    """The axis of a block's steps."""
    anew: frozenset[Var]
    """What is made outside of regions, and is another in each block."""
    number: int
    members: list[Instruction]
    """Of the region, and of those before it what is computed again."""
    own: frozenset[Var]
    code: list[Instruction] = field(default_factory=list)
    constants: dict[Var, None] = field(default_factory=dict)
    timed: dict[Var, None] = field(default_factory=dict)
    begun: dict[tuple[Var, Var], StepValue] = field(default_factory=dict)
    """What loops of earlier regions carried where the block began, by the loop and by its name."""
    local: set[Var] = field(default_factory=set)
    """What was written here since it begins anew in each block."""
    carry: list[tuple[StepValue, Atom, Var]] = field(default_factory=list)
    """With where it begins, and where it is after the block."""
    ends: dict[Var, int] = field(default_factory=dict)
    """What the region has in the end, by which carry it is."""

    def __post_init__(self) -> None:
        """Write the code.

        Raises WholeError where something is needed of all steps at once.
        """
        self.there = {i.target for i in self.members}
        for i in self.members:
            self._write(i)

    def _write(self, i: Instruction) -> None:
        regions = self.regions
        length, steps = regions.length, self.steps
        if i.op == ITEM:
            shape = i.attribute("shape")
            if i.target not in regions.untimed:
                shape = (steps, *shape[1:])
            attributes = (("index", i.attribute("index")), ("shape", shape))
            self.code.append(replace(i, attributes=attributes))
            return
        operands = [
            self._read(v, timed=timed) if isinstance(v, str) else v for v, timed in regions.reads(i)
        ]
        if regions.is_loop(i):
            self._write_loop(i, operands)
            return
        along = regions.along[i.target]
        moved = replace(in_steps(i, along, length, steps), operands=tuple(operands))
        if not along.sums:
            self.code.append(moved)
            return
        part, total = f"{i.target}_part", f"{i.target}_total"
        shape = regions.shapes[i.target]
        self.code.append(replace(moved, target=part))
        self.code.append(Instruction(i.target, "add", (total, part), (), i.dtype))
        zero = Const(0.0) if is_float(i.dtype) else Const(0, i.dtype)
        self.ends[i.target] = len(self.carry)
        self.carry.append((StepValue(total, shape, i.dtype), zero, i.target))

    def _write_loop(self, i: Instruction, operands: list[Atom]) -> None:
        loop, steps = loop_of(i), self.steps
        first = len(loop.constants)
        stacks = stacks_of(loop)
        constants = tuple(
            replace(g, shape=(steps, *g.shape[1:])) if g.variable in stacks else g
            for g in loop.constants
        )
        mine = i.target in self.own
        for k, g in enumerate(loop.carry):
            given = replace(g, variable=carry_name(i.target, g.variable))
            if mine:
                end = f"{given.variable}_end"
                self.carry.append((given, i.operands[first + k], end))
            else:
                self.begun[i.target, g.variable] = given
            operands[first + k] = given.variable
        inner = replace(loop, constants=constants, length=steps)
        self.code.append(loop_instruction(inner, operands, i.target))
        if not mine:
            return
        for k, g in enumerate(loop.carry):
            number = len(self.carry) - len(loop.carry) + k
            end = self.carry[number][2]
            self.code.append(replace(item_instruction(i.target, k, g.shape, g.dtype), target=end))
            for v in self._items(i.target, k):
                self.ends[v] = number

    def _items(self, loop: Var, index: int) -> list[Var]:
        return [
            i.target
            for i in self.regions.code
            if i.op == ITEM and i.operands == (loop,) and i.attribute("index") == index
        ]

    def _read(self, v: Var, *, timed: bool) -> Atom:
        """What the code of a block calls a variable that it reads."""
        regions, made = self.regions, self.made.get(v)
        if v in self.local:
            return v
        if v in self.there and (timed or v not in regions.untimed):
            if not timed:
                raise WholeError
            return v
        if is_local(made):
            assert made is not None
            return self._begin(made)
        if v in self.anew:
            assert made is not None
            if v not in regions.along or regions.along[v].sums:
                raise WholeError
            operands = tuple(
                self._read(w, timed=own) if isinstance(w, str) else w
                for w, own in regions.reads(made)
            )
            moved = in_steps(made, regions.along[v], regions.length, self.steps)
            self.code.append(replace(moved, operands=operands))
            self.local.add(v)
            return v
        if timed:
            self.timed[v] = None
            return f"{v}_now"
        self.constants[v] = None
        return v

    def _begin(self, made: Instruction) -> Var:
        """What counts steps from the beginning of a block, and what a loop carried there."""
        if made.op == START:
            loop, carry = made.attribute("loop"), made.attribute("carry")
            found = self.made.get(loop)
            givens = () if found is None else loop_of(found).carry
            given = next((g for g in givens if g.variable == carry), None)
            number = self.regions.stage.get(loop, 0)
            if given is None or number % 2 == 0 or number >= self.number:
                raise WholeError
            given = replace(given, variable=carry_name(loop, carry))
            self.begun[loop, carry] = given
            return given.variable
        if made.target not in self.local:
            attributes = dict(made.attributes)
            if made.op == "iota":
                attributes["shape"] = (self.steps,)
            else:
                attributes["dim"] = f"{self.steps} - 1"
            self.code.append(replace(made, attributes=tuple(attributes.items())))
            self.local.add(made.target)
        return made.target


def made_anew(regions: Regions) -> frozenset[Var]:
    """What is made outside of regions of what counts steps, or of what a loop began with."""
    found: set[Var] = set()
    for i in regions.code:
        if regions.stage[i.target] % 2 == 0 and (is_local(i) or not found.isdisjoint(i.variables)):
            found.add(i.target)
    return frozenset(found)
