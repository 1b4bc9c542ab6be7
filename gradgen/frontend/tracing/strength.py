"""Which numbers are strongly typed, so that they decide the dtype of results.

A Python number takes the dtype of what it meets; `numpy.float64(0.9)` or `jnp.exp(-0.1)` computed
beforehand does not. In a trace the two look alike, so the function is traced once more on leaves
that are narrower than such a number, where only the second kind makes a result wider.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradgen.frontend.tracing.merge import without_conversions
from gradgen.frontend.tracing.promotion import matched
from gradgen.ir.code import STRONG, Atom, Const, DType, Instruction, Var


def dtypes_of_constants(
    double: Sequence[Instruction],
    weak: Sequence[Instruction],
    single: Sequence[Instruction],
) -> dict[Var, DType]:
    """What the strong numbers are of: JAX's default float, or float32 for good.

    By the targets, in the float64 trace, of what has such a number among its operands. The other
    traces have 64-bit types as well: on `weak` leaves, which even a number of float32 makes
    float32, and on those of float32 (`single`), which only a default float makes wider.
    """
    return dict.fromkeys(_made_wider(double, weak, "float32"), "float32") | dict.fromkeys(
        _made_wider(double, single, "float"), STRONG
    )


def _made_wider(
    double: Sequence[Instruction], other: Sequence[Instruction], dtype: DType
) -> list[Var]:
    """The targets of what has this dtype in the other trace, but no operand that has it.

    Empty if the two traces differ by more than conversions.
    """
    origins = without_conversions(other)[1]
    dtypes = {i.target: i.dtype for i in other}
    found = []
    for one, two in matched(double, other) or ():
        if one.dtype == "float" and two.dtype == dtype:
            operands = [origins.get(v, v) for v in two.variables]
            if not any(isinstance(v, str) and dtypes.get(v) == dtype for v in operands):
                found.append(one.target)
    return found


def strengthen(instruction: Instruction, dtype: DType) -> Instruction:
    """The instruction with its float numbers strongly typed."""

    def strong(atom: Atom) -> Atom:
        if isinstance(atom, Const) and atom.dtype in ("weak", "float"):
            return Const(atom.value, dtype)
        return atom

    operands = tuple(map(strong, instruction.operands))
    return Instruction(
        instruction.target, instruction.op, operands, instruction.attributes, instruction.dtype
    )
