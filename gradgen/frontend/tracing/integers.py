"""How large the integers may be that are passed for integer arguments."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gradgen.ir.code import Atom, Const, Instruction, Var, is_float

LARGEST = 2**31 - 1


def integer_limit(primal: Sequence[Instruction], integers: Collection[Var]) -> int:
    """Up to which absolute value of these inputs no integer of the code overflows.

    Python's integers do not overflow, and those of JAX do.
    """
    low, high = 0, LARGEST
    while low < high:
        middle = (low + high + 1) // 2
        if _largest(primal, dict.fromkeys(integers, middle)) <= LARGEST:
            low = middle
        else:
            high = middle - 1
    return low


def _largest(primal: Sequence[Instruction], bounds: dict[Var, int]) -> int:
    """A bound of all integers in the code, from bounds of its inputs."""

    def bound(atom: Atom) -> int:
        return abs(int(atom.value)) if isinstance(atom, Const) else bounds.get(atom, 0)

    largest = max(bounds.values(), default=0)
    for i in primal:
        if is_float(i.dtype) or i.dtype == "bool":
            continue
        operands = [
            0 if isinstance(a, Const) and is_float(a.dtype) else bound(a) for a in i.operands
        ]
        match i.op:
            case "add" | "sub":
                found = sum(operands)
            case "mul":
                found = operands[0] * operands[1]
            case "integer_pow":
                found = operands[0] ** max(int(i.attribute("y")), 1)
            case "square":
                found = operands[0] ** 2
            case _:
                found = max(operands, default=0)
        bounds[i.target] = min(found, 2**80)
        largest = max(largest, bounds[i.target])
    return largest
