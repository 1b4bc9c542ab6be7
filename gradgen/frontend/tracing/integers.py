"""What integer arguments must not be: too large, or divided as integers."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from gradgen.errors import GradgenError
from gradgen.frontend.tracing.tape import Tape
from gradgen.ir.code import Atom, Const, Instruction, Var, is_float
from gradgen.ir.source import Source

LARGEST = 2**31 - 1


def require_one_meaning(source: Source, tape: Tape) -> None:
    """Raise GradgenError where JAX's default float decides, which no text can follow.

    `tape` is of float64. An integer that a function promotes, as in `1 / n`, becomes a float32 or
    float64 of its own, strongly typed if the integer is; and a NumPy array without axes is a
    constant whose precision JAX keeps from where it met it first.
    """
    readers: dict[Var, list[Instruction]] = {}
    for i in tape.primal:
        for variable in i.variables:
            readers.setdefault(variable, []).append(i)
    for i in tape.primal:
        place = tape.frames.get(i.target, ())
        promoted = i.op == "convert" and i.attribute("from") == "int" and i.dtype == "float32"
        if promoted and any(tape.frames.get(r.target) == place for r in readers.get(i.target, ())):
            raise _refused(
                source,
                tape,
                i,
                "an integer is promoted to JAX's default float here",
                "write the other number as a float, as in 1.0 / n or n / 3.0, or n * 1.0 for n",
            )
        constants = [a for a in i.operands if isinstance(a, Const)]
        if (
            i.dtype == "float"
            and i.op != "convert"
            and any(c.dtype == "float32" for c in constants)
        ):
            raise _refused(
                source,
                tape,
                i,
                "a constant that is an array without axes has no certain precision",
                "make it a number: float(c) or c.item()",
            )


def _refused(
    source: Source, tape: Tape, instruction: Instruction, message: str, hint: str
) -> GradgenError:
    place = tape.frames.get(instruction.target, ())
    return GradgenError(
        message,
        hint=hint,
        path=source.path,
        line=place[-1].line if place else source.position.line,
        column=place[-1].column if place else source.position.column,
    )


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
