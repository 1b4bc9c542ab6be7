"""What a program on arrays takes, element by element."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TypeVar

from gradgen.ir.amounts import Amount, amount
from gradgen.ir.code import Instruction, Var
from gradgen.ir.loops import LOOP, loop_of
from gradgen.ir.operations import KINDS, OPERATIONS, OperationKind
from gradgen.ir.prices import Prices
from gradgen.ir.program import FREE, Operations, Program, count_operations
from gradgen.ir.shapes import Dim, Shape, Sizes, shapes_of

K = TypeVar("K", bound=str)
Each = Callable[[Instruction, Mapping[Var, Shape]], Iterator[tuple[K, Amount]]]
"""What one instruction takes, kind by kind, by the shapes of variables."""

_SUMS: dict[str, OperationKind] = {"reduce_sum": "add", "reduce_prod": "mul"}
_WINDOWS: dict[str, OperationKind] = {"reduce_window_sum": "add", "reduce_window_mul": "mul"}


@dataclass(frozen=True)
class ArrayOperations:
    """How many operations a program has, by kind, in the sizes of axes; and those sizes."""

    counts: tuple[tuple[OperationKind, Amount], ...]
    sizes: Sizes

    @property
    def total(self) -> int:
        """At the sizes, of all kinds that count; see `operations`."""
        return self._formula.at(self.sizes)

    @property
    def formula(self) -> str:
        """The total in the sizes' names: `2*batch*n + n`."""
        return str(self._formula)

    @property
    def _formula(self) -> Amount:
        return sum((count for kind, count in self.counts if kind not in FREE), Amount())

    def __str__(self) -> str:
        """`34,335,873 operations`."""
        return "1 operation" if self.total == 1 else f"{self.total:,} operations"

    def as_dict(self) -> dict[str, int | str]:
        """By kind at the sizes, with the total and its formula."""
        numbers = Operations(tuple((kind, count.at(self.sizes)) for kind, count in self.counts))
        return {**numbers.as_dict(), "formula": self.formula}


def count_arrays(program: Program, inputs: Mapping[Var, Shape], sizes: Sizes) -> ArrayOperations:
    """The operations of a program by kind: of every element, by the rule for single numbers.

    A contraction takes a multiplication for each combination of its indices, and as many additions
    but for one an element of its result; a sum takes an addition for each element but for those of
    its result. Moving data about counts nothing, and neither do the numbers of Python that sizes
    are.
    """
    counts: dict[OperationKind, Amount] = dict.fromkeys(KINDS, Amount())
    for _, _, kind, number in amounts(program.instructions, inputs, operations):
        counts[kind] += number
    return ArrayOperations(tuple((kind, counts[kind]) for kind in KINDS), sizes)


def price_of_arrays(
    program: Program, inputs: Mapping[Var, Shape], sizes: Sizes, prices: Prices
) -> int:
    """What a program costs, of every element, by the rule for single numbers.

    An operation reads each element of its operands once, a contraction too, and writes each of its
    result. Moving data about costs nothing.
    """
    return sum(
        prices.amount(kind, instruction.dtype) * number.at(sizes)
        for _, instruction, kind, number in amounts(program.instructions, inputs, _priced)
    )


def amounts(
    code: Sequence[Instruction], inputs: Mapping[Var, Shape], each: Each[K]
) -> Iterator[tuple[Instruction, Instruction, K, Amount]]:
    """What each instruction takes, kind by kind, below the one of the code that it is or is in.

    Those of a loop count in all of its steps.
    """
    shapes = shapes_of(code, inputs)
    numbers: set[Var] = set()
    for instruction in code:
        if instruction.op == LOOP:
            loop = loop_of(instruction)
            inside = list(amounts(loop.code, {g.variable: g.shape for g in loop.given}, each))
            if loop.blocks is None:
                parts = [(inner, kind, n.times(loop.length)) for _, inner, kind, n in inside]
            else:
                parts = list(_in_blocks(inside, loop.blocks.steps, loop.length))
            for inner, kind, number in parts:
                yield instruction, inner, kind, number
            continue
        among_numbers = bool(instruction.variables) and numbers.issuperset(instruction.variables)
        arithmetic = bool(OPERATIONS[instruction.op].infix) or instruction.op == "neg"
        if instruction.op == "size" or (among_numbers and arithmetic):
            numbers.add(instruction.target)
            continue
        for kind, found in each(instruction, shapes):
            yield instruction, instruction, kind, found


def _in_blocks(
    inside: Sequence[tuple[Instruction, Instruction, K, Amount]],
    steps: str,
    length: Dim,
) -> Iterator[tuple[Instruction, K, Amount]]:
    """What a block of so many steps takes, in all blocks of a loop of this length.

    Whatever a block does, it does for each of its steps: a sum over the steps of a block takes an
    addition less, and adding it to those of other blocks takes that one.
    """
    totals: dict[K, Amount] = {}
    for _, _, kind, each in inside:
        totals[kind] = totals.get(kind, Amount()) + each
    for total in totals.values():
        total.where(steps, length)  # which it is linear in
    for _, inner, kind, each in inside:
        yield inner, kind, each.varying_with(steps).where(steps, length)


def operations(
    instruction: Instruction, shapes: Mapping[Var, Shape]
) -> Iterator[tuple[OperationKind, Amount]]:
    """The operations of one instruction, by kind."""
    shape = shapes[instruction.target]
    number = amount(shape)
    if instruction.op == "einsum":
        operands = [shapes[v] for v in instruction.variables]
        spread = amount(_indices(instruction.attribute("spec"), operands))
        yield "mul", spread
        yield "add", spread - number
    elif instruction.op == "conv":
        right = shapes[instruction.variables[1]]
        outputs = instruction.attribute("rhs_spec")[0]
        spread = amount((*shape, *right[:outputs], *right[outputs + 1 :]))
        yield "mul", spread
        yield "add", spread - number
    elif instruction.op in _WINDOWS:
        window = prod(instruction.attribute("window"))
        yield _WINDOWS[instruction.op], (window - 1) * number
    elif instruction.op in _SUMS:
        yield _SUMS[instruction.op], amount(shapes[instruction.variables[0]]) - number
    elif OPERATIONS[instruction.op].kind != "array":
        for kind, one in count_operations([instruction]).counts:
            if one:
                yield kind, one * number


def _priced(instruction: Instruction, shapes: Mapping[Var, Shape]) -> Iterator[tuple[str, Amount]]:
    """What has a price: the operations, and what they read and write."""
    found = list(operations(instruction, shapes))
    yield from found
    if found or OPERATIONS[instruction.op].kind not in ("free", "array"):
        yield "read", sum((amount(shapes[v]) for v in instruction.variables), Amount())
        yield "write", amount(shapes[instruction.target])


def _indices(spec: str, shapes: list[Shape]) -> list[Dim]:
    """The sizes of all indices of a contraction, each once."""
    sides = spec.partition("->")[0].split(",")
    dims: dict[str, Dim] = {}
    for side, shape in zip(sides, shapes, strict=True):
        dims |= dict(zip(side, shape, strict=True))
    return list(dims.values())
