"""How many steps a block should have, by integer arithmetic on sizes.

In blocks, what a region makes for itself stays in the cache, and what it is given is copied once
more; the weights are read, and their gradients added to, once a block. So blocks pay where the
first is more than the others, and does not fit the cache as a whole. They pay sooner where it does
not even fit what an allocator keeps between calls.

The constants are those of a machine with two cores and some MB of cache for each, and are to be set
by `python -m benchmarks.networks --blocks`: its column `chosen` should be the fastest, or as fast.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gradgen.ir.code import Var
from gradgen.ir.loops import LOOP, StepValue
from gradgen.ir.program import Program
from gradgen.ir.shapes import Dim, Sizes, elements, shapes_of, size
from gradgen.lowering.blocks import lengths_of
from gradgen.lowering.regions import Regions, is_local, regions_of
from gradgen.lowering.residuals import BYTES
from gradgen.lowering.spare import without_spare_stacks

_FITS = 24_000_000
"""Bytes between operations along time that are no slower than in blocks, all in all."""
_BLOCK = 14_000_000
"""Bytes that a block may make for itself and be given."""
_COPIED = 2
"""How much a byte that is copied into a block weighs, beside one that stays there."""
_FRESH = 60_000_000
"""Bytes that come as pages never touched before, which the system has to clear, at every call."""
_CLEARED = 2
"""How much a byte weighs that does."""


def block_size(
    program: Program, inputs: Sequence[StepValue], sizes: Sizes, late: Iterable[Var]
) -> int | None:
    """The steps of a block; None where blocks do not pay.

    It divides the number of steps, if another number of that order does.
    """
    late = list(late)
    program = without_spare_stacks(program)
    found = [_of_length(program, inputs, sizes, late, n) for n in lengths_of(program)]
    return min((k for k in found if k is not None), default=None)


def _of_length(
    program: Program, inputs: Sequence[StepValue], sizes: Sizes, late: Sequence[Var], length: Dim
) -> int | None:
    code, steps = program.instructions, size(length, sizes)
    shapes = shapes_of(code, {g.variable: g.shape for g in inputs})
    dtypes = {g.variable: g.dtype for g in inputs} | {i.target: i.dtype for i in code}
    regions = regions_of(code, [a for _, a in program.results], shapes, length, late)

    def bytes_of(variables: Iterable[Var]) -> int:
        return sum(BYTES.get(dtypes[v], 4) * elements(shapes[v], sizes) for v in variables)

    made = bytes_of(_made(regions))
    copied = bytes_of(v for number in regions.reverse for v in _copied(regions, number))
    once = bytes_of(_once(regions))
    if made < _FITS:
        return None
    most = min(_BLOCK * steps // (made + copied), steps // 2)
    spared = made * (_CLEARED if made > _FRESH else 1)
    if most < 2 or (spared - _COPIED * copied) * most < once * steps:
        return None
    return next((k for k in range(most, most // 2, -1) if steps % k == 0), most)


def _made(regions: Regions) -> list[Var]:
    """What regions write down for all steps: results of loops and of contractions."""
    return [
        i.target
        for i in regions.code
        if regions.stage[i.target] % 2
        and i.op in ("item", "einsum")
        and i.target not in regions.untimed
    ]


def _copied(regions: Regions, number: int) -> set[Var]:
    """What a region reads step by step that no region makes."""
    made = {i.target: i for i in regions.code}
    return {
        v
        for i in regions.region(number)
        for v, timed in regions.reads(i)
        if timed and isinstance(v, str) and i.op != "item"
        and regions.stage.get(v, 0) % 2 == 0 and not is_local(made.get(v))
    }  # fmt: skip


def _once(regions: Regions) -> list[Var]:
    """What is read or written once a block: weights, and twice their gradients."""
    found: list[Var] = []
    for i in regions.code:
        if regions.stage[i.target] % 2 == 0 or i.op in (LOOP, "item"):
            continue
        if regions.along[i.target].sums:
            found += [i.target] * 2
        elif i.op == "einsum":
            found += [v for v, timed in regions.reads(i) if not timed and isinstance(v, str)]
    return found
