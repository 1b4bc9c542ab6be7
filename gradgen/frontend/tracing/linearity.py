"""Whether code is linear in some of its variables, by its form."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal

from gradgen.ir.algebra import simplify_exactly
from gradgen.ir.code import WORKING, Atom, DType, Instruction, Var, is_zero

_Degree = Literal["zero", "fixed", "linear"]
"""Zero, whatever the variables are; independent of them; linear in them."""


def nonlinear(
    code: Sequence[Instruction], unknowns: Mapping[Var, DType], roots: Sequence[Atom]
) -> Atom | None:
    """What is not linear in the unknowns: computed on the way to the roots, or one of these.

    None if all roots are linear and homogeneous, in all unknowns together. A conversion is linear
    unless it rounds to less than float32, or than the unknowns have themselves.
    """
    wide = {*WORKING, "float32", "float64", *unknowns.values()}
    degrees: dict[Atom, _Degree] = dict.fromkeys(unknowns, "linear")
    for instruction in code:
        degree = _degree(instruction, degrees, wide)
        if degree is None:
            return instruction.target
        degrees[instruction.target] = degree
    return next((root for root in roots if _known(root, degrees) == "fixed"), None)


def _known(atom: Atom, degrees: Mapping[Atom, _Degree]) -> _Degree:
    return "zero" if is_zero(atom) else degrees.get(atom, "fixed")


def _degree(
    instruction: Instruction, degrees: Mapping[Atom, _Degree], wide: Collection[DType]
) -> _Degree | None:
    """Of what an instruction computes; None where it is neither linear nor independent."""
    op, operands = instruction.op, [_known(atom, degrees) for atom in instruction.operands]
    same = simplify_exactly(op, instruction.operands, instruction.attributes, instruction.dtype)
    if same is not None:
        return _known(same, degrees)
    most: _Degree = "linear" if "linear" in operands else "zero"
    match op, operands:
        case "neg" | "copy" | "stop_gradient", [degree]:
            return degree
        case "convert", [degree] if instruction.dtype in wide:
            return degree
        case "mul", _ if "zero" in operands:
            return "zero"
        case "mul", ["linear", "fixed"] | ["fixed", "linear"]:
            return "linear"
        case "div", ["zero" | "linear" as degree, "fixed"]:
            return degree
        case "add" | "sub", _ if "fixed" not in operands:
            return most
        case "select", ["fixed", *cases] if "fixed" not in cases:
            return most
        case _, [degree] if op in _MOVING:
            return degree
        case "einsum" | "conv", [one, other] if {one, other} == {"linear", "fixed"}:
            return "linear"
        case "concatenate", _ if "fixed" not in operands:
            return most
        case "pad", [degree, "zero"]:
            return degree
        case "gather" | "dynamic_slice" | "pullback" | "pushforward", [degree, *others] if (
            "linear" not in others
        ):
            return degree
        case "scatter_add" | "scatter", [one, "fixed", other] if "fixed" not in (one, other):
            return most
        case "dynamic_update_slice", [one, other, *_] if "fixed" not in (one, other):
            return most
    return None if "linear" in operands else "fixed"


_MOVING = frozenset((
    "broadcast", "reshape", "transpose", "reduce_sum", "slice", "rev", "cumsum",
    "reduce_window_sum",
))  # fmt: skip
"""Operations on one array that add its elements up, or only move them."""
