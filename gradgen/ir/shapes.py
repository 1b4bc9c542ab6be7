"""Shapes whose sizes have names: the axes of array code, and what is counted in them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Mapping
from math import isqrt, prod

from gradgen.ir.code import Instruction, Var
from gradgen.ir.operations import OPERATIONS

Dim = int | str
"""The size of an axis: a number, or a Python expression in names such as `n` and `4*n`."""

Shape = tuple[Dim, ...]

Sizes = Mapping[str, int]
"""What the names stand for where something is counted."""

LEADING = "leading"
"""The axis that stands for any number of axes in front, as one: `...` where it is stated."""

_FUNCTIONS = {"min": min, "max": max, "isqrt": isqrt}
"""What the size of an axis may be a function of names by."""

DEFAULT_SIZE = 64
"""Of an axis for which no size is given."""


def size(dim: Dim, sizes: Sizes) -> int:
    """The size of an axis in numbers."""
    if isinstance(dim, int):
        return dim
    known = {name: sizes.get(name, DEFAULT_SIZE) for name in names_in(dim)}
    return int(eval(dim, {"__builtins__": {}, **_FUNCTIONS}, known))


def operand(dim: Dim) -> str:
    """The size of an axis as an operand of another expression."""
    return str(dim) if isinstance(dim, int) or dim.isidentifier() else f"({dim})"


def names_in(dim: Dim) -> frozenset[str]:
    """The names in the size of an axis."""
    if isinstance(dim, int):
        return frozenset()
    if dim.isidentifier():
        return frozenset((dim,))
    nodes = ast.walk(ast.parse(dim, mode="eval"))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    return frozenset(names - _FUNCTIONS.keys())


def axes_in(shapes: Iterable[Shape]) -> list[str]:
    """The names in the sizes of all axes, in order."""
    return sorted({name for shape in shapes for dim in shape for name in names_in(dim)})


def multiple(dim: Dim) -> tuple[int, str] | None:
    """The number and the name of an axis such as `n` or `4*n`; None for any other."""
    match = re.fullmatch(r"(?:(\d+)\*)?([^\W\d]\w*)", str(dim))
    return None if match is None else (int(match[1] or 1), match[2])


def told_by(shape: Shape) -> frozenset[str]:
    """The names whose sizes an array of this shape tells: of axes `n`, and of `4*n`."""
    return frozenset(found[1] for found in map(multiple, shape) if found is not None)


def written(shape: Iterable[Dim]) -> str:
    """A shape as Python writes a tuple: `(batch, n)`, `(n,)`."""
    dims = tuple(map(str, shape))
    return f"({', '.join(dims)}{',' if len(dims) == 1 else ''})"


def shape_as_stated(shape: Shape) -> str:
    """A shape as directives state it: `(batch, n)`, `(..., n)`."""
    return written("..." if dim == LEADING else dim for dim in shape)


def own_axes(shape: Shape) -> Shape:
    """The axes of a shape behind those that `...` stands for."""
    return shape[1:] if shape[:1] == (LEADING,) else shape


def elements(shape: Shape, sizes: Sizes) -> int:
    """How many elements an array has."""
    return prod(size(dim, sizes) for dim in shape)


def joined(shapes: Iterable[Shape]) -> Shape:
    """The shape of an elementwise operation: axes of size one give way, from the last one on.

    Raises ValueError where two sizes do not fit.
    """
    found: list[Dim] = []
    for shape in shapes:
        found[:0] = [1] * (len(shape) - len(found))
        for k, dim in enumerate(reversed(shape), start=1):
            if found[-k] == 1:
                found[-k] = dim
            elif dim not in (1, found[-k]):
                raise ValueError(f"axes of sizes {found[-k]} and {dim} do not fit")
    return tuple(found)


def shape_of(instruction: Instruction, known: Mapping[Var, Shape]) -> Shape:
    """The shape of an instruction's value, from those of its operands."""
    if OPERATIONS[instruction.op].kind == "array":
        shape: Shape = instruction.attribute("shape")
        return shape
    return joined(known[v] for v in instruction.variables)


def shapes_of(instructions: Iterable[Instruction], inputs: Mapping[Var, Shape]) -> dict[Var, Shape]:
    """The shapes of all variables of straight-line code."""
    known = dict(inputs)
    for instruction in instructions:
        known[instruction.target] = shape_of(instruction, known)
    return known
