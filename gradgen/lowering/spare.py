"""Loops without what they put out that is cheap code on something else that they put out.

A spike is a comparison of a potential: where both are needed of all steps, one stack serves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from gradgen.ir.code import Atom, Instruction, Var, live_code, substitute
from gradgen.ir.fission import distribute
from gradgen.ir.loops import ITEM, LOOP, Loop, StepValue, loop_of
from gradgen.ir.operations import OPERATIONS
from gradgen.ir.program import Program, Section
from gradgen.lowering.passes import without_idle

_MOST = 4
"""Operations, none of them transcendental, beyond which reading a stack is as cheap."""


def without_spare_stacks(program: Program) -> Program:
    """Each loop with fewer stacks, and after it what makes the others for all steps."""
    items: dict[Var, list[Instruction]] = {}
    for i in program.instructions:
        if i.op == ITEM:
            items.setdefault(i.operands[0], []).append(i)  # type: ignore[arg-type]
    moved: dict[Var, Atom] = {}
    sections = []
    for section in program.sections:
        code: list[Instruction] = []
        for i in section.instructions:
            if i.op == LOOP:
                i = substitute(i, moved)
                code += [i, *_results(i, items.get(i.target, []), moved)]
            elif i.op != ITEM:
                code.append(substitute(i, moved))
        sections.append(Section(section.title, tuple(code)))
    results = tuple((r, moved.get(a, a) if isinstance(a, str) else a) for r, a in program.results)
    return without_idle(replace(program, sections=tuple(sections), results=results))


def _results(
    loop: Instruction, items: Sequence[Instruction], moved: dict[Var, Atom]
) -> list[Instruction]:
    """The results of a loop, and what is made of them instead of others, which are moved there."""
    inner, count = loop_of(loop), len(loop_of(loop).carry)
    stacks = {
        inner.stacked[i.attribute("index") - count]: i.target
        for i in items
        if i.attribute("index") >= count
    }
    spare: dict[Var, Loop] = {}
    for v in reversed([j.target for j in inner.code if j.target in stacks]):
        left = {w for w in stacks if isinstance(w, str) and w != v and w not in spare}
        if (alone := _alone(inner, v, left)) is not None:
            spare[v] = alone
    found = [i for i in items if i.target not in {stacks[v] for v in spare}]
    outer = dict(zip((g.variable for g in inner.given), loop.operands, strict=True))

    def emit(instruction: Instruction) -> Atom:
        target = f"{stacks[v]}_{len(found)}"
        found.append(replace(instruction, target=target))
        return target

    # what is found later may be what others are made of
    for v, alone in reversed(spare.items()):
        places = {g.variable: stacks.get(g.variable) for g in alone.given}
        operands = [outer[w] if at is None else moved.get(at, at) for w, at in places.items()]
        (made,) = distribute(alone, operands, emit, lambda i, _: emit(i), lambda i: i.variables)
        moved[stacks[v]] = made
    return found


def _alone(loop: Loop, v: Var, left: set[Var]) -> Loop | None:
    """A loop without a carry that puts out one variable, from what is left of the stacks; None
    where that takes more than reading one does."""
    code = live_code([i for i in loop.code if i.target not in left], [v])
    kinds = {OPERATIONS[i.op].kind for i in code}
    read = {w for i in code for w in i.variables} - {i.target for i in code}
    carried = {g.variable for g in loop.carry} - left
    if len(code) > _MOST or kinds & {"array", "transcendental"} or read & carried:
        return None
    if not read & left:
        return None
    shapes, dtypes = loop.shapes, loop.dtypes
    given = [g for g in loop.sequences if g.variable in read]
    given += [StepValue(w, shapes[w], dtypes[w]) for w in sorted(read & left)]
    return Loop(
        constants=tuple(g for g in loop.constants if g.variable in read),
        carry=(),
        sequences=tuple(given),
        code=code,
        carried=(),
        stacked=(v,),
        length=loop.length,
        reverse=loop.reverse,
    )
