"""Two tapes of one function, traced in float32 and in float64, become one for every dtype."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gradgen.errors import GradgenError
from gradgen.frontend.tracing.tape import Tape
from gradgen.ir.code import Atom, Const, DType, Instruction, Var, is_float

_FINFO = ("eps", "epsneg", "tiny", "smallest_subnormal", "max", "min", "resolution")


class DTypeDependence(Exception):  # noqa: N818
    """Two tapes differ by more than their dtypes and the rounding of literals."""

    def __init__(self, message: str, target: Var | None) -> None:
        super().__init__(message)
        self.target = target


def merge_code(
    single: Sequence[Instruction], double: Sequence[Instruction], reference: Var
) -> list[Instruction]:
    """Instructions for every dtype: literals from the float64 trace, or read off the dtype.

    `reference` is a float variable whose dtype the machine constants follow. Raises
    DTypeDependence where the two traces compute different things.
    """
    merged: list[Instruction] = []
    for one, two in zip(single, double, strict=False):
        same = (one.target, one.op, len(one.operands), one.attributes) == (
            two.target, two.op, len(two.operands), two.attributes,
        )  # fmt: skip
        if not same:
            raise DTypeDependence("what is computed depends on the dtype", two.target)
        operands: list[Atom] = []
        for position, (a, b) in enumerate(zip(one.operands, two.operands, strict=True)):
            atom = merge_atom(a, b, two.target)
            if isinstance(atom, _MachineConstant):
                name = f"{two.target}_{position}"
                merged.append(Instruction(name, "finfo", (reference,), (("field", atom.field),)))
                atom = name
            operands.append(atom)
        dtype = merge_dtype(one.dtype, two.dtype)
        merged.append(Instruction(two.target, two.op, tuple(operands), two.attributes, dtype))
    if len(single) != len(double):
        longer = max(single, double, key=len)
        raise DTypeDependence(
            "what is computed depends on the dtype", longer[len(merged) - 1].target
        )
    return merged


class _MachineConstant:
    def __init__(self, field: str) -> None:
        self.field = field


def merge_atom(one: Atom, two: Atom, target: Var | None) -> Atom | _MachineConstant:
    """One operand for every dtype."""
    if isinstance(one, str) or isinstance(two, str):
        if one != two:
            raise DTypeDependence("what is computed depends on the dtype", target)
        return two
    dtype = merge_dtype(one.dtype, two.dtype)
    if not is_float(dtype):
        if one.value != two.value:
            raise DTypeDependence(f"a constant depends on the dtype: {two.value}", target)
        return Const(two.value, dtype)
    if math.isnan(one.value) and math.isnan(two.value):
        return Const(two.value, dtype)
    with np.errstate(over="ignore"):
        if np.float32(one.value) == np.float32(two.value) and (
            np.isfinite(np.float32(two.value)) or math.isinf(two.value)
        ):
            return Const(two.value, dtype)
    for field in _FINFO:
        if (one.value, two.value) == (
            float(getattr(np.finfo(np.float32), field)),
            float(getattr(np.finfo(np.float64), field)),
        ):
            return _MachineConstant(field)
    raise DTypeDependence(
        f"a constant depends on the dtype: {one.value} in float32, {two.value} in float64", target
    )


def merge_dtype(one: DType, two: DType) -> DType:
    """The dtype for every precision."""
    if one == two:
        return two
    if {one, two} == {"int32", "int64"}:
        return "int"
    if {one, two} <= {"weak", "float"}:
        return "float"
    return two


def merge_tapes(single: Tape, double: Tape, reference: Var, path: str) -> Tape:
    """The tape for every dtype; raises GradgenError at the line where the two differ."""
    try:
        merged = Tape(
            primal=merge_code(single.primal, double.primal, reference),
            partials=merge_code(single.partials, double.partials, reference),
            custom=double.custom,
            frames=double.frames,
            inlined_jit=double.inlined_jit,
            counter=double.counter,
        )
        for one, two in zip(single.custom, double.custom, strict=True):
            for (_, a), (_, b) in zip(one.partials, two.partials, strict=True):
                if isinstance(merge_atom(a, b, two.target), _MachineConstant):
                    raise DTypeDependence("a partial is a machine constant", two.target)
    except DTypeDependence as difference:
        place = double.frames.get(difference.target or "", ())
        raise GradgenError(
            str(difference),
            hint="one generated text serves every dtype; use jnp.finfo(x.dtype) for machine "
            "constants, and no branches on the dtype",
            path=path,
            line=place[-1].line if place else None,
            column=place[-1].column if place else 0,
        ) from None
    return merged
