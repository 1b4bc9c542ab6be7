"""Passes over whole programs: what only the number of uses can tell, then dead code.

The primal is never touched here but for dead code.
"""

from __future__ import annotations

from dataclasses import replace

from gradgen.ir.code import (
    STRONG,
    WORKING,
    Atom,
    Const,
    Instruction,
    Var,
    is_float,
    live_code,
    uses,
)
from gradgen.ir.loops import LOOP, loop_instruction, loop_of, pruned, without_starts
from gradgen.ir.program import PRIMAL, Program, Section


def finish(program: Program) -> Program:
    """All passes in order; the result is checked."""
    program = merge_reciprocals(without_idle(eliminate_dead_code(program)))
    program = absorb_signs(eliminate_dead_code(program))
    program.check()
    return program


_PROMOTING = frozenset({"mul", "add", "sub", "div", "neg", "select", "square", "abs", "max", "min"})


def widen_numbers(program: Program) -> Program:
    """Let numbers of a fixed precision among derivatives not decide it where nothing else does.

    `float32(0.3) * mask` is of float32, and what it is added to is rounded to that before it meets
    a value of float64. In JAX's default precision it is of float32 at least.
    """
    derived = [s for s in program.sections if s.title != PRIMAL]
    if not any(_is_fixed(a) for s in derived for i in s.instructions for a in i.operands):
        return program
    neutral: set[Var] = set()
    """Truth values, and floats that have no precision of their own."""
    sections = []
    for section in program.sections:
        code = []
        for i in section.instructions:
            free = all(isinstance(a, Const) or a in neutral for a in i.operands)
            fixed = [a for a in i.operands if _is_fixed(a)]
            if free and fixed and section.title != PRIMAL and i.op in _PROMOTING:
                i, fixed = replace(i, operands=tuple(map(_widened, i.operands))), []
            if i.dtype == "bool" or (free and not fixed and i.op in _PROMOTING):
                neutral.add(i.target)
            code.append(i)
        sections.append(replace(section, instructions=tuple(code)))
    return replace(program, sections=tuple(sections))


def _is_fixed(atom: Atom) -> bool:
    return isinstance(atom, Const) and is_float(atom.dtype) and atom.dtype not in WORKING


def _widened(atom: Atom) -> Atom:
    return Const(atom.value, STRONG) if isinstance(atom, Const) and _is_fixed(atom) else atom


def eliminate_dead_code(program: Program) -> Program:
    """Keep only what the results depend on."""
    live = {i.target for i in live_code(program.instructions, (a for _, a in program.results))}
    sections = tuple(
        Section(s.title, tuple(i for i in s.instructions if i.target in live))
        for s in program.sections
    )
    return replace(program, sections=tuple(s for s in sections if s.instructions))


def without_idle(program: Program) -> Program:
    """Keep of loops only what is read of them."""
    if all(instruction.op != LOOP for instruction in program.instructions):
        return program
    found = {i.target: i for i in pruned(program.instructions, (a for _, a in program.results))}
    sections = tuple(
        Section(s.title, tuple(found[i.target] for i in s.instructions if i.target in found))
        for s in program.sections
    )
    return replace(program, sections=tuple(s for s in sections if s.instructions))


def in_one_piece(program: Program) -> Program:
    """The program where none of its loops is taken apart any more."""
    begun, code = without_starts(program.instructions)
    if not begun:
        return program
    left = {i.target: i for i in code}
    sections = tuple(
        Section(s.title, tuple(left[i.target] for i in s.instructions if i.target in left))
        for s in program.sections
    )
    results = tuple((r, begun.get(a, a) if isinstance(a, str) else a) for r, a in program.results)
    return replace(program, sections=sections, results=results)


def unrolled(program: Program, times: int) -> Program:
    """The program with so many steps of its loops written out in a row."""
    if times == 1:
        return program

    def changed(i: Instruction) -> Instruction:
        if i.op != LOOP:
            return i
        loop = loop_of(i)
        code = tuple(map(changed, loop.code))
        own = replace(loop, code=code, unroll=times if loop.blocks is None else 1)
        return loop_instruction(own, i.operands, i.target)

    sections = tuple(
        Section(s.title, tuple(map(changed, s.instructions))) for s in program.sections
    )
    return replace(program, sections=sections)


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


def absorb_signs(program: Program) -> Program:
    """`a + -2.0 * x` is `a - 2.0 * x` where the product serves nothing else."""
    count = uses(program.instructions, (a for _, a in program.results))
    code = [i for s in program.sections if s.title != PRIMAL for i in s.instructions]
    scaled = {i.target: i for i in code if _is_negative_multiple(i) and count[i.target] == 1}
    turned: dict[Var, Instruction] = {}
    for instruction in code:
        if instruction.op not in ("add", "sub"):
            continue
        a, b = instruction.operands
        opposite = "sub" if instruction.op == "add" else "add"
        if b in scaled:
            turned[instruction.target] = replace(instruction, op=opposite)
            turned[str(b)] = _negate_factor(scaled[str(b)])
        elif a in scaled and instruction.op == "add":
            turned[instruction.target] = replace(instruction, op="sub", operands=(b, a))
            turned[str(a)] = _negate_factor(scaled[str(a)])
    sections = tuple(
        Section(s.title, tuple(turned.get(i.target, i) for i in s.instructions))
        for s in program.sections
    )
    return replace(program, sections=sections)


def _is_negative_multiple(instruction: Instruction) -> bool:
    if instruction.op != "mul":
        return False
    factor = instruction.operands[0]
    return isinstance(factor, Const) and factor.value < 0


def _negate_factor(instruction: Instruction) -> Instruction:
    factor, x = instruction.operands
    assert isinstance(factor, Const)
    return replace(instruction, operands=(Const(-factor.value, factor.dtype), x))
