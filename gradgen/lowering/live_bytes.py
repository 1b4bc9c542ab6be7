"""An estimate of the memory that a program takes while it runs, at some sizes.

Arrays live from where they are made to where they are read last. Elementwise operations are written
into what reads them, unless a loop or a contraction does; a loop's carry is where it began.
The estimate is a polynomial in the sizes: of what is held when that is most, at the sizes given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from gradgen.ir.amounts import Amount, amount
from gradgen.ir.code import Atom, DType, Instruction, Var
from gradgen.ir.loops import ITEM, LOOP, TUPLE, Loop, StepValue, loop_of
from gradgen.ir.operations import OPERATIONS
from gradgen.ir.program import Program
from gradgen.ir.shapes import Dim, Shape, Sizes, elements, shapes_of, size
from gradgen.lowering.residuals import BYTES

_WRITTEN_IN = ("broadcast", "reshape", "transpose", "size", "iota")
"""What takes no memory of its own, beside elementwise operations."""


@dataclass(frozen=True)
class _Array:
    """What is held."""

    shape: Shape
    element: int
    """The bytes of an element."""
    bytes: int

    def of(self, axis: str, dim: Dim) -> _Array:
        """The same bytes, by another name of an axis."""
        return replace(self, shape=tuple(dim if d == axis else d for d in self.shape))


def live_bytes(program: Program, inputs: Mapping[Var, StepValue], sizes: Sizes) -> Amount:
    """The most bytes that are there at a time beside the inputs, in float32."""
    given = {v: inputs[v] for v in program.inputs}
    roots = [a for _, a in program.results]
    most = _most(program.instructions, roots, _written(program.instructions, roots), given, sizes)
    return sum((array.element * amount(array.shape) for array in most), Amount())


def _most(
    code: Sequence[Instruction],
    roots: Sequence[Atom],
    written: set[Var],
    given: Mapping[Var, StepValue],
    sizes: Sizes,
) -> list[_Array]:
    shapes = shapes_of(code, {v: g.shape for v, g in given.items()})
    last = _last_reads(code, roots, written)
    early = _cleared_early(code, shapes)
    alive: dict[Var, _Array] = {}
    most: list[_Array] = []
    for number, i in enumerate(code):
        inside: list[_Array] = []
        after: dict[Var, _Array] = {}
        if i.op == LOOP:
            loop = loop_of(i)
            inside = _inside(loop, sizes)
            started = i.operands[len(loop.constants) :][: len(loop.carry)]
            alive = {v: n for v, n in alive.items() if v not in started or last[v] > number}
            for j in (*_items(code, i), *early.get(i.target, ())):
                stacked = j.attribute("index") >= len(loop.carry) or j.operands != (i.target,)
                held = alive if stacked else after
                held[j.target] = _array(shapes[j.target], j.dtype, sizes)
        elif i.target in written and i.op != ITEM:
            alive[i.target] = _array(shapes[i.target], i.dtype, sizes)
        most = max(most, [*alive.values(), *inside], key=_bytes)
        alive = {v: n for v, n in (alive | after).items() if last.get(v, number) > number}
    return most


def _inside(loop: Loop, sizes: Sizes) -> list[_Array]:
    """What a loop holds for itself: its carry, and the most that a step or a block does."""
    blocks, own = loop.blocks, dict(sizes)
    if blocks is not None:
        length = min(blocks.size, loop.length, key=lambda dim: size(dim, sizes))
        own[blocks.steps] = size(length, sizes)
    copied = loop.sequences if blocks is not None else ()
    found = [_array(g.shape, g.dtype, own) for g in (*loop.carry, *copied)]
    # what a step puts out goes where the carry is, and into the stacks
    given = {g.variable: g for g in loop.given}
    found += _most(loop.code, loop.results, _written(loop.code, ()), given, own)
    return found if blocks is None else [array.of(blocks.steps, length) for array in found]


def _items(code: Sequence[Instruction], loop: Instruction) -> list[Instruction]:
    """The results of a loop that are taken."""
    return [j for j in code if j.op == ITEM and j.operands == (loop.target,)]


def _cleared_early(
    code: Sequence[Instruction], shapes: Mapping[Var, Shape]
) -> dict[Var, list[Instruction]]:
    """By loops, the stacks of later ones that are there already.

    Stacks begin as zeros. Of those of one shape XLA makes one, and copies it for all loops before
    the first one runs.
    """
    alike: dict[object, list[tuple[Var, Instruction]]] = {}
    for i in code:
        if i.op == LOOP:
            loop = loop_of(i)
            for j in _items(code, i):
                if j.attribute("index") >= len(loop.carry):
                    kind = shapes[j.target], j.dtype, loop.blocks and loop.blocks.size
                    alike.setdefault(kind, []).append((i.target, j))
    early: dict[Var, list[Instruction]] = {}
    for stacks in alike.values():
        first = stacks[0][0]
        early.setdefault(first, []).extend(stack for loop, stack in stacks if loop != first)
    return early


def _array(shape: Shape, dtype: DType, sizes: Sizes) -> _Array:
    element = 0 if dtype == TUPLE else BYTES.get(dtype, 4)
    return _Array(shape, element, element * elements(shape, sizes))


def _bytes(arrays: Iterable[_Array]) -> int:
    return sum(array.bytes for array in arrays)


def _written(code: Sequence[Instruction], roots: Sequence[Atom]) -> set[Var]:
    """What is written down, and not into what reads it."""
    free = {i.target for i in code if OPERATIONS[i.op].kind != "array" or i.op in _WRITTEN_IN}
    heavy = {v for i in code if i.op in (LOOP, "einsum", "conv") for v in i.variables}
    return {i.target for i in code} - free | heavy | {a for a in roots if isinstance(a, str)}


def _last_reads(
    code: Sequence[Instruction], roots: Sequence[Atom], written: set[Var]
) -> dict[Var, int]:
    """The number of the last instruction that needs each variable, itself or by what it is
    written into."""
    last: dict[Var, int] = {a: len(code) for a in roots if isinstance(a, str)}
    for number in range(len(code) - 1, -1, -1):
        i = code[number]
        until = number if i.target in written or i.op == LOOP else last.get(i.target, number)
        for v in i.variables:
            last[v] = max(last.get(v, -1), until)
    return last
