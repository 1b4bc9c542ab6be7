"""What only one loop reads, a step at a time, is computed in that loop, and not for all steps.

Code on whole sequences stands before a loop because it does not hang on what is carried. Where it
is cheap (elementwise, a value that is the same in all steps, a product over a short axis) and
nothing else reads it, each step computes its own part: nothing is stored for all steps, and nothing
is read again. What the source computes stays where it is; where it is elementwise, of what the loop
reads anyway or the function is given, the loop computes it again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from gradgen.ir.code import Atom, DType, Instruction, Var, uses
from gradgen.ir.loops import LOOP, Loop, StepValue, loop_instruction, loop_of
from gradgen.ir.operations import OPERATIONS
from gradgen.ir.program import PRIMAL, Program, Section
from gradgen.ir.shapes import Dim, Shape, Sizes, shapes_of, size

_SHORT = 32
"""The most terms of a product that each step computes by itself."""


def fed_inside(
    program: Program, inputs: Mapping[Var, Shape], dtypes: Mapping[Var, DType], sizes: Sizes
) -> Program:
    """The program with what feeds a loop moved into it, given shapes and dtypes of its inputs."""
    if all(i.op != LOOP for i in program.instructions):
        return program
    dtypes = {**dtypes, **{i.target: i.dtype for i in program.instructions}}
    moving = _Moving(program, shapes_of(program.instructions, inputs), dtypes, sizes)
    sections = []
    for section in reversed(program.sections):
        primal = section.title == PRIMAL
        code = [i if primal else moving.fed(i) for i in reversed(section.instructions)]
        sections.append(Section(section.title, tuple(reversed(code))))
    kept = (
        Section(s.title, tuple(i for i in s.instructions if i.target not in moving.moved))
        for s in reversed(sections)
    )
    return replace(program, sections=tuple(s for s in kept if s.instructions))


class _Moving:
    def __init__(
        self,
        program: Program,
        shapes: Mapping[Var, Shape],
        dtypes: Mapping[Var, DType],
        sizes: Sizes,
    ) -> None:
        self._shapes, self._dtypes, self._sizes = shapes, dtypes, sizes
        self._made = {i.target: i for i in program.instructions}
        self._primal = {
            i.target for s in program.sections if s.title == PRIMAL for i in s.instructions
        }
        self._count = uses(program.instructions, (a for _, a in program.results))
        self.moved: set[Var] = set()

    def fed(self, instruction: Instruction) -> Instruction:
        """A loop with what feeds it; anything else as it is."""
        if instruction.op != LOOP or instruction.target in self.moved:
            return instruction
        loop, operands = loop_of(instruction), list(instruction.operands)
        place = len(loop.constants) + len(loop.carry)
        while place < len(operands):
            made = self._made.get(str(operands[place]))
            found = None
            if made is not None and (self._is_its_own(made) or self._is_there(made, operands)):
                found = self._step(loop, made, loop.given[place].variable)
            if made is None or found is None:
                place += 1
                continue
            if self._is_its_own(made):
                self.moved.add(made.target)
            constants, sequences, steps = found
            first = len(loop.constants)
            gone = place - first - len(loop.carry)
            left = [g for k, g in enumerate(loop.sequences) if k != gone]
            del operands[place]
            operands[first:first] = [a for _, a in constants]
            operands += [a for _, a in sequences]
            loop = replace(
                loop,
                constants=(*loop.constants, *(g for g, _ in constants)),
                sequences=(*left, *(g for g, _ in sequences)),
                code=(*steps, *loop.code),
            )
            place += len(constants)
        return loop_instruction(loop, operands, instruction.target)

    def _is_its_own(self, made: Instruction) -> bool:
        """Whether nothing else reads a value that the source does not compute."""
        return self._count[made.target] == 1 and made.target not in self._primal

    def _is_there(self, made: Instruction, operands: Sequence[Atom]) -> bool:
        """Whether what an elementwise operation takes is there for the loop in any case."""
        if OPERATIONS[made.op].kind in ("array", "transcendental"):
            return False
        return all(v in operands or v not in self._made for v in made.variables)

    def _step(
        self, loop: Loop, made: Instruction, target: Var
    ) -> (
        tuple[list[tuple[StepValue, Atom]], list[tuple[StepValue, Atom]], list[Instruction]] | None
    ):
        """What a step is given instead of a part of a sequence, the same in all steps or not, and
        what it computes of that; None where it is to be computed before the loop."""
        timed = self._timed(made, loop)
        if timed is None:
            return None
        shape = self._shapes[made.target][1:]
        if made.op == "broadcast" and shape == self._shape(made.operands[0]):
            return [(StepValue(target, shape, made.dtype), made.operands[0])], [], []
        constants: list[tuple[StepValue, Atom]] = []
        sequences: list[tuple[StepValue, Atom]] = []
        operands: list[Atom] = []
        for k, (atom, varies) in enumerate(zip(made.operands, timed, strict=True)):
            if not isinstance(atom, str):
                operands.append(atom)
                continue
            own = self._shape(atom)[1:] if varies else self._shape(atom)
            given = StepValue(f"{target}_{k}", own, self._dtypes.get(atom, "float"))
            (sequences if varies else constants).append((given, atom))
            operands.append(given.variable)
        attributes: dict[str, Any] = dict(made.attributes)
        if made.op == "einsum":
            sides, _, result = attributes["spec"].partition("->")
            cut = [s[1:] if t else s for s, t in zip(sides.split(","), timed, strict=True)]
            attributes["spec"] = f"{','.join(cut)}->{result[1:]}"
        if made.op == "broadcast":
            attributes["dims"] = tuple(d - 1 for d in attributes["dims"])
        if "shape" in attributes:
            attributes["shape"] = attributes["shape"][1:]
        moved = replace(
            made, target=target, operands=tuple(operands), attributes=tuple(attributes.items())
        )
        return constants, sequences, [moved]

    def _shape(self, atom: Atom) -> Shape:
        return self._shapes[atom] if isinstance(atom, str) else ()

    def _timed(self, made: Instruction, loop: Loop) -> list[bool] | None:
        """Which operands have an axis of time in front; None where that cannot be cut off."""
        shape = self._shapes[made.target]
        known = list(map(self._shape, made.operands))
        if made.op == "einsum":
            sides, _, result = str(made.attribute("spec")).partition("->")
            each = sides.split(",")
            time = result[:1]
            dims: dict[str, Dim] = {}
            for side, own in zip(each, known, strict=True):
                dims |= dict(zip(side, own, strict=True))
            terms = prod(size(d, self._sizes) for c, d in dims.items() if c not in result)
            if not time or dims[time] != loop.length or terms > _SHORT:
                return None
            if any(time in side[1:] for side in each):
                return None
            return [side[:1] == time for side in each]
        if made.op == "broadcast":
            # of single numbers there is little to store
            return None if 0 in made.attribute("dims") or len(shape) == 1 else [False]
        if OPERATIONS[made.op].kind == "array" or made.op in ("copy", "stop_gradient"):
            return None
        if any(len(own) == len(shape) and own[0] != loop.length for own in known):
            return None
        return [len(own) == len(shape) for own in known]
