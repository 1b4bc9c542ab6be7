"""Which numbers are strongly typed, so that they decide the dtype of low-precision results.

A Python number takes the dtype of what it meets; `numpy.float64(0.9)` or `jnp.exp(-0.1)` computed
beforehand does not, and promotes a bfloat16 neuron to float32. In a trace the two look alike, so
the function is traced once more in bfloat16, where only the second kind makes a result wider.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradgen.frontend.tracing.merge import without_conversions
from gradgen.ir.code import STRONG, Atom, Const, DType, Instruction, Var


def promoted_by_constants(
    double: Sequence[Instruction], half: Sequence[Instruction]
) -> frozenset[Var]:
    """The targets, in the float64 trace, of what only a strong number makes wider in bfloat16.

    Empty if the two traces differ by more than conversions.
    """
    # the bfloat16 trace has no copies, which mark calls with rules of their own
    kept = [i for i in without_conversions(double)[0] if i.op != "copy"]
    narrow, origins = without_conversions(half)
    if [i.op for i in kept] != [i.op for i in narrow]:
        return frozenset()
    dtypes = {i.target: i.dtype for i in half}
    found = set()
    for wide, low in zip(kept, narrow, strict=True):
        if wide.dtype != "float" or low.dtype != "float32":
            continue
        operands = [origins.get(v, v) for v in low.variables]
        if all(isinstance(v, Const) or dtypes.get(v, "float") != "float32" for v in operands):
            found.add(wide.target)
    return frozenset(found)


def dtypes_of_constants(
    double: Sequence[Instruction], single: Sequence[Instruction], strong: frozenset[Var]
) -> dict[Var, DType]:
    """What the strong numbers are of: JAX's default float, or float32 for good.

    `single` is the trace on leaves of float32 where 64-bit types are there: only a default float,
    such as `numpy.float64(0.9)`, makes a result wider in it.
    """
    kept = [i for i in without_conversions(double)[0] if i.op != "copy"]
    same = without_conversions(single)[0]
    if [i.op for i in kept] != [i.op for i in same]:
        return dict.fromkeys(strong, STRONG)
    return {
        one.target: "float32" if two.dtype == "float32" else STRONG
        for one, two in zip(kept, same, strict=True)
        if one.target in strong
    }


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
