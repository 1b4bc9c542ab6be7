"""Which operations on arrays do the same to every step along a first axis, or sum over it.

What does can be done for some of the steps at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gradgen.ir.code import Atom, Instruction, Var
from gradgen.ir.operations import OPERATIONS
from gradgen.ir.shapes import Dim, Shape

_ALONG_AXES = ("reduce_sum", "reduce_max", "reduce_min", "reduce_prod", "reduce_and", "reduce_or")


@dataclass(frozen=True)
class Along:
    """What an operation does along time."""

    timed: tuple[bool, ...]
    """The operands of which a step reads its own part; of the others it reads all."""
    sums: bool = False
    """Whether the result is a sum over all steps; else there is one for each of them."""


def along_time(instruction: Instruction, shapes: Mapping[Var, Shape], length: Dim) -> Along | None:
    """What an operation does along a first axis of this length; None if neither."""
    shape = shapes[instruction.target]
    given = [() if not isinstance(a, str) else shapes[a] for a in instruction.operands]
    leads = tuple(s[:1] == (length,) for s in given)
    each = shape[:1] == (length,)
    if OPERATIONS[instruction.op].kind != "array":
        timed = tuple(t and len(s) == len(shape) for t, s in zip(leads, given, strict=True))
        return Along(timed) if each and any(timed) and instruction.op != "finfo" else None
    if instruction.op == "einsum":
        return _contraction(instruction.attribute("spec"), given, length, each=each)
    if instruction.op in _ALONG_AXES and leads[0]:
        if 0 not in instruction.attribute("axes"):
            return Along(leads)
        return Along(leads, sums=True) if instruction.op == "reduce_sum" else None
    if not each:
        return None
    if instruction.op == "broadcast":
        dims: tuple[int, ...] = instruction.attribute("dims")
        if 0 not in dims:
            return Along((False,))
        return Along(leads) if dims[0] == 0 and 0 not in dims[1:] else None
    if instruction.op == "reshape":
        return Along(leads) if leads[0] else None
    if instruction.op == "transpose":
        return Along(leads) if instruction.attribute("permutation")[0] == 0 else None
    return None


def _contraction(spec: str, given: Sequence[Shape], length: Dim, *, each: bool) -> Along | None:
    inputs, _, result = spec.partition("->")
    sides = inputs.split(",")
    firsts = (side[0] for side, s in zip(sides, given, strict=True) if s[:1] == (length,))
    for letter in firsts:
        only_first = all(letter not in side[1:] for side in (*sides, result))
        if not only_first or (letter in result) != each or (each and result[0] != letter):
            continue
        return Along(tuple(side.startswith(letter) for side in sides), sums=letter not in result)
    return None


def in_steps(instruction: Instruction, along: Along, length: Dim, steps: Dim) -> Instruction:
    """An operation along time for some steps."""
    attributes: dict[str, Any] = dict(instruction.attributes)
    if "shape" in attributes and not along.sums:
        attributes["shape"] = (steps, *attributes["shape"][1:])
    if instruction.op == "broadcast" and along.timed[0]:
        attributes["own"] = (steps, *attributes["own"][1:])
    return replace(instruction, attributes=tuple(attributes.items()))


def reads(instruction: Instruction, along: Along) -> list[tuple[Atom, bool]]:
    """The operands, and whether a step reads its own part alone."""
    return list(zip(instruction.operands, along.timed, strict=True))
