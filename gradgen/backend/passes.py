"""Passes over whole programs: what only the number of uses can tell, then dead code.

The primal is never touched here but for dead code.
"""

from __future__ import annotations

from dataclasses import replace

from gradgen.ir.code import Atom, Const, Instruction, Var, live_code, uses
from gradgen.ir.program import PRIMAL, Program, Section


def finish(program: Program) -> Program:
    """All passes in order; the result is checked."""
    program = eliminate_dead_code(merge_reciprocals(eliminate_dead_code(program)))
    program.check()
    return program


def eliminate_dead_code(program: Program) -> Program:
    """Keep only what the results depend on."""
    live = {i.target for i in live_code(program.instructions, (a for _, a in program.results))}
    sections = tuple(
        Section(s.title, tuple(i for i in s.instructions if i.target in live))
        for s in program.sections
    )
    return replace(program, sections=tuple(s for s in sections if s.instructions))


def merge_reciprocals(program: Program) -> Program:
    """`x * (1 / y)` is `x / y` where the reciprocal serves nothing else."""
    count = uses(program.instructions, (a for _, a in program.results))
    single: dict[Var, Atom] = {}
    sections = []
    for section in program.sections:
        code: list[Instruction] = []
        for instruction in section.instructions:
            changed = instruction
            if section.title != PRIMAL:
                changed = _divide(instruction, single)
                if _is_reciprocal(changed) and count.get(changed.target) == 1:
                    single[changed.target] = changed.operands[1]
            code.append(changed)
        sections.append(Section(section.title, tuple(code)))
    return replace(program, sections=tuple(sections))


def _is_reciprocal(instruction: Instruction) -> bool:
    return instruction.op == "div" and instruction.operands[0] == Const(1.0)


def _divide(instruction: Instruction, reciprocals: dict[Var, Atom]) -> Instruction:
    if instruction.op != "mul":
        return instruction
    for position, atom in enumerate(instruction.operands):
        if isinstance(atom, str) and atom in reciprocals:
            other = instruction.operands[1 - position]
            return replace(instruction, op="div", operands=(other, reciprocals[atom]))
    return instruction
