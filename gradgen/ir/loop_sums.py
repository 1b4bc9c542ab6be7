"""Takes sums over time of products out of a loop.

They are a product with a sum, where only one operand varies, or one contraction over time as well.
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gradgen.ir.code import Atom, Const, Instruction, is_zero, uses
from gradgen.ir.loops import Loop, StepValue
from gradgen.ir.shapes import Dim

Emit = Callable[[Instruction], Atom]
"""Writes an instruction around the loop."""


@dataclass(frozen=True)
class LoopSum:
    """A sum over time of products that is taken after the loop."""

    product: Instruction
    """On outer operands, but for those that vary."""
    varying: tuple[int, ...]
    """The operands that do."""
    start: Atom
    stacks: tuple[int, ...]
    """Which results of the loop these are for all steps, where there are two."""

    def total(self, found: Sequence[Atom], emit: Emit) -> Atom:
        """The product with the sum of the operand that varies, or of both over all steps."""
        operands = list(self.product.operands)
        for slot, atom in zip(self.varying, found, strict=True):
            operands[slot] = atom
        product = replace(self.product, target="", operands=tuple(operands))
        if self.stacks:
            product = over_time(product, (True, True))
        total = emit(product)
        if is_zero(self.start):
            return total
        return emit(Instruction("", "add", (self.start, total), (), product.dtype))


def with_plain_sums(
    loop: Loop, operands: Sequence[Atom]
) -> tuple[Loop, Sequence[Atom], dict[int, LoopSum]]:
    """The loop without carries that only add up products, and what is to be done instead."""
    made = {i.target: i for i in loop.code}
    count = uses(loop.code, loop.results)
    outer = dict(zip((g.variable for g in loop.constants), operands, strict=False))
    first = len(loop.constants)
    given = list(operands)
    carry, carried, stacked = list(loop.carry), list(loop.carried), list(loop.stacked)
    code, shapes, dtypes = list(loop.code), loop.shapes, loop.dtypes
    sums: dict[int, LoopSum] = {}
    for k, (own, after) in enumerate(zip(loop.carry, loop.carried, strict=True)):
        adding = made.get(after) if isinstance(after, str) else None
        if adding is None or adding.op != "add" or own.variable not in adding.operands:
            continue
        left, right = adding.operands
        term = right if left == own.variable else left
        product = made.get(term) if isinstance(term, str) else None
        if product is None or product.op != "einsum" or shapes[product.target] != own.shape:
            continue
        if {count[own.variable], count[adding.target], count[product.target]} != {1}:
            continue
        varying = tuple(j for j, a in enumerate(product.operands) if a not in outer)
        known = tuple(outer.get(a, a) if isinstance(a, str) else a for a in product.operands)
        if any(isinstance(a, Const) for a in known) or not varying:
            continue
        found: tuple[int, ...] = ()
        code = [i for i in code if i.target not in (adding.target, product.target)]
        start = given[first + k]
        if len(varying) == 1:
            (slot,) = varying
            each = product.operands[slot]
            assert isinstance(each, str)
            carry[k] = StepValue(f"{own.variable}_sum", shapes[each], dtypes[each])
            carried[k] = f"{after}_sum"
            given[first + k] = Const(0.0)
            sum_ = (carry[k].variable, each)
            code.append(replace(adding, target=f"{after}_sum", operands=sum_))
        else:
            found = tuple(len(carry) + len(stacked) + j for j in (0, 1))
            stacked += product.operands
            # it does not change any more
            carried[k] = own.variable
        sums[k] = LoopSum(replace(product, operands=known), varying, start, found)
    changed = replace(
        loop, carry=tuple(carry), carried=tuple(carried), stacked=tuple(stacked), code=tuple(code)
    )
    return changed, given, sums


def over_time(
    instruction: Instruction, timed: Sequence[bool], length: Dim | None = None
) -> Instruction:
    """An operation with an axis of time in front of some operands, and of its result if there is a
    length; without one, time is summed over."""
    attributes: dict[str, Any] = dict(instruction.attributes)
    if instruction.op == "einsum":
        inputs, _, result = str(attributes["spec"]).partition("->")
        letter = next(c for c in string.ascii_lowercase if c not in attributes["spec"])
        sides = [letter * t + s for t, s in zip(timed, inputs.split(","), strict=True)]
        attributes["spec"] = f"{','.join(sides)}->{letter * (length is not None)}{result}"
    if instruction.op == "reduce_sum":
        attributes["axes"] = tuple(a + 1 for a in attributes["axes"])
    if instruction.op == "transpose":
        moved = tuple(a + 1 for a in attributes["permutation"])
        attributes["permutation"] = (0, *moved)
    if instruction.op == "broadcast":
        attributes["dims"] = (0, *(a + 1 for a in attributes["dims"]))
        attributes["own"] = (length, *attributes["own"])
    if "shape" in attributes and length is not None:
        attributes["shape"] = (length, *attributes["shape"])
    return replace(instruction, attributes=tuple(attributes.items()))
