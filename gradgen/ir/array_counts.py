"""What a program on arrays takes, element by element, at given sizes."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from gradgen.ir.code import Var
from gradgen.ir.operations import KINDS, OPERATIONS, OperationKind
from gradgen.ir.program import Operations, Program, count_operations
from gradgen.ir.shapes import Dim, Shape, Sizes, elements, shapes_of, size

_SUMS: dict[str, OperationKind] = {"reduce_sum": "add", "reduce_prod": "mul"}
_WINDOWS: dict[str, OperationKind] = {"reduce_window_sum": "add", "reduce_window_mul": "mul"}


def count_arrays(program: Program, inputs: Mapping[Var, Shape], sizes: Sizes) -> Operations:
    """The operations of a program by kind: of every element, by the rule for single numbers.

    A contraction takes a multiplication for each combination of its indices, and as many additions
    but for one an element of its result; a sum takes an addition for each element but for those of
    its result. Moving data about counts nothing, and neither do the numbers of Python that sizes
    are.
    """
    shapes = shapes_of(program.instructions, inputs)
    counts = dict.fromkeys(KINDS, 0)
    numbers: set[Var] = set()
    for instruction in program.instructions:
        among_numbers = bool(instruction.variables) and numbers.issuperset(instruction.variables)
        arithmetic = bool(OPERATIONS[instruction.op].infix) or instruction.op == "neg"
        if instruction.op == "size" or (among_numbers and arithmetic):
            numbers.add(instruction.target)
            continue
        number = elements(shapes[instruction.target], sizes)
        if instruction.op == "einsum":
            spread = prod(size(dim, sizes) for dim in _indices(instruction.attribute("spec"), [
                shapes[v] for v in instruction.variables
            ]))  # fmt: skip
            counts["mul"] += spread
            counts["add"] += spread - number
        elif instruction.op == "conv":
            right = shapes[instruction.variables[1]]
            outputs = right[instruction.attribute("rhs_spec")[0]]
            spread = number * (elements(right, sizes) // size(outputs, sizes))
            counts["mul"] += spread
            counts["add"] += spread - number
        elif instruction.op in _WINDOWS:
            counts[_WINDOWS[instruction.op]] += number * (prod(instruction.attribute("window")) - 1)
        elif instruction.op in _SUMS:
            before = elements(shapes[instruction.variables[0]], sizes)
            counts[_SUMS[instruction.op]] += before - number
        elif OPERATIONS[instruction.op].kind != "array":
            for kind, one in count_operations([instruction]).counts:
                counts[kind] += one * number  # type: ignore[index]
    return Operations(tuple((kind, counts[kind]) for kind in KINDS))


def _indices(spec: str, shapes: list[Shape]) -> list[Dim]:
    """The sizes of all indices of a contraction, each once."""
    sides = spec.partition("->")[0].split(",")
    dims: dict[str, Dim] = {}
    for side, shape in zip(sides, shapes, strict=True):
        dims |= dict(zip(side, shape, strict=True))
    return list(dims.values())
