"""Rewrites a program's partials and accumulation with fewer operations."""

from __future__ import annotations

from collections.abc import Iterable

from gradgen.ir.code import Var
from gradgen.ir.program import PRIMAL, Program, count_operations
from gradgen.ir.recursion import deeper_recursion
from gradgen.lowering.passes import absorb_signs, eliminate_dead_code
from gradgen.lowering.rewriting.reading import read
from gradgen.lowering.rewriting.search import improve
from gradgen.lowering.rewriting.writing import write

_EVALUATIONS = 2000
_INSTRUCTIONS = 80_000
"""At most so many rewritings are counted out, and about so many instructions in all of them."""


def rewrite(program: Program, float_inputs: Iterable[Var], seed: int = 0) -> Program:
    """The program with the cheapest derivative part found; itself if none is cheaper.

    The primal stays as it is, instruction for instruction. `float_inputs` are the inputs in the
    working precision. How long the search takes depends on the program's length alone.
    """
    length = sum(len(s.instructions) for s in program.sections if s.title != PRIMAL)
    evaluations = min(_EVALUATIONS, _INSTRUCTIONS // (length + 1))
    reading = read(program, float_inputs)
    with deeper_recursion():  # as deep as sums and products stand in each other
        roots = improve(reading.forms, reading.roots, evaluations, seed)
        rewritten = absorb_signs(eliminate_dead_code(write(program, reading, roots)))
    rewritten.check()
    before, after = (count_operations(p.instructions).total for p in (program, rewritten))
    return rewritten if after < before else program
