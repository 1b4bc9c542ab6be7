"""Rewrites a program's partials and accumulation so that they cost less."""

from __future__ import annotations

from collections.abc import Iterable

from gradgen.ir.code import Var
from gradgen.ir.prices import COUNTED, Prices
from gradgen.ir.program import PRIMAL, Program
from gradgen.ir.recursion import deeper_recursion
from gradgen.lowering.passes import absorb_signs, eliminate_dead_code
from gradgen.lowering.rewriting.moves import Roots
from gradgen.lowering.rewriting.reading import CanonicalProgram, read
from gradgen.lowering.rewriting.search import improve
from gradgen.lowering.rewriting.writing import write

_EVALUATIONS = 2000
_INSTRUCTIONS = 80_000
"""At most so many rewritings are counted out, and about so many instructions in all of them."""


def rewrite(
    program: Program, float_inputs: Iterable[Var], seed: int = 0, prices: Prices = COUNTED
) -> Program:
    """The program with the cheapest derivative part found; itself if none is cheaper.

    The primal stays as it is, instruction for instruction. `float_inputs` are the inputs in the
    working precision. How long the search takes depends on the program's length alone.
    """
    length = sum(len(s.instructions) for s in program.sections if s.title != PRIMAL)
    evaluations = min(_EVALUATIONS, _INSTRUCTIONS // (length + 1))
    reading = read(program, float_inputs)
    with deeper_recursion():  # as deep as sums and products stand in each other
        starts, rewritten = [reading.roots], [program]
        if prices != COUNTED:
            # where an addition costs less than a product, one is never tried for the other; and
            # what has the fewest operations may be the cheapest as it is
            starts.append(improve(reading.forms, reading.roots, evaluations, seed))
            rewritten.append(_written(program, reading, starts[1], COUNTED))
        found = [improve(reading.forms, roots, evaluations, seed, prices) for roots in starts]
        rewritten += [_written(program, reading, roots, prices) for roots in found]
    return min(rewritten, key=lambda p: prices.of(p.instructions))


def _written(program: Program, reading: CanonicalProgram, roots: Roots, prices: Prices) -> Program:
    written = absorb_signs(eliminate_dead_code(write(program, reading, roots, prices)))
    written.check()
    return written
