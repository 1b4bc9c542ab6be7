"""Two tapes of one function, traced in float32 and in float64, become one for every dtype."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gradgen.errors import GradgenError
from gradgen.frontend.tracing.tape import Tape
from gradgen.ir.code import Atom, Const, DType, Instruction, Var, is_float
from gradgen.ir.trace import Elemental

_FINFO = ("eps", "epsneg", "tiny", "smallest_subnormal", "max", "min", "resolution")


class DTypeDependence(Exception):  # noqa: N818
    """Two tapes differ by more than their dtypes and the rounding of literals."""

    def __init__(self, message: str, target: Var | None) -> None:
        super().__init__(message)
        self.target = target


class Merging:
    """Matches two pieces of code, instruction by instruction, and keeps which variables are equal.

    Conversions among floats, and among integers, are passed over, since a conversion to float32 is
    one in the float64 trace alone, and one to int32 only where integers have 64 bits.
    """

    def __init__(self, reference: Var) -> None:
        """Machine constants follow the dtype of `reference`, a float variable."""
        self._reference = reference
        self._double_of: dict[Var, Var] = {}
        """The variable of the float64 trace for each of the float32 trace."""
        self._converted: dict[Var, Atom] = {}
        """What a conversion in the float32 trace converts."""
        self._origin: dict[Var, Atom] = {}
        """What a conversion in the float64 trace converts."""

    def code(
        self, single: Sequence[Instruction], double: Sequence[Instruction]
    ) -> list[Instruction]:
        """Instructions for every dtype: literals from the float64 trace, or read off the dtype.

        Raises DTypeDependence where the two traces compute different things.
        """
        merged: list[Instruction] = []
        kept, origins = without_conversions(single)
        self._converted.update(origins)
        remaining = iter(kept)
        for two in double:
            if is_width_conversion(two):
                self._origin[two.target] = self._canonical(two.operands[0])
                if two.variables:
                    dtype = "int" if two.dtype == "int64" else two.dtype
                    merged.append(replace(two, dtype=dtype))
                continue
            one = next(remaining, None)
            if one is None or (one.op, len(one.operands), one.attributes) != (
                two.op, len(two.operands), two.attributes,
            ):  # fmt: skip
                raise DTypeDependence("what is computed depends on the dtype", two.target)
            merged += self._instruction(one, two)
        if next(remaining, None) is not None:
            raise DTypeDependence("what is computed depends on the dtype", None)
        return merged

    def atom(self, one: Atom, two: Atom, target: Var | None = None) -> Atom | MachineConstant:
        """One operand for every dtype."""
        left, right = self._single(one), self._canonical(two)
        if isinstance(left, Const) and isinstance(right, Const):
            return _merge_constants(left, right, target)
        if left != right:
            raise DTypeDependence("what is computed depends on the dtype", target)
        return two

    def _instruction(self, one: Instruction, two: Instruction) -> list[Instruction]:
        self._double_of[one.target] = two.target
        needed: list[Instruction] = []
        operands: list[Atom] = []
        for position, (a, b) in enumerate(zip(one.operands, two.operands, strict=True)):
            atom = self.atom(a, b, two.target)
            if isinstance(atom, MachineConstant):
                name = f"{two.target}_{position}"
                attributes = (("field", atom.field),)
                needed.append(Instruction(name, "finfo", (self._reference,), attributes))
                atom = name
            operands.append(atom)
        dtype = merge_dtype(one.dtype, two.dtype)
        merged = Instruction(two.target, two.op, tuple(operands), two.attributes, dtype)
        return [*needed, merged]

    def _single(self, atom: Atom) -> Atom:
        """What an atom of the float32 trace is in the float64 trace, but for conversions."""
        if isinstance(atom, str):
            atom = self._converted.get(atom, atom)
        return self._double_of.get(atom, atom) if isinstance(atom, str) else atom

    def _canonical(self, atom: Atom) -> Atom:
        return self._origin.get(atom, atom) if isinstance(atom, str) else atom


def without_conversions(
    code: Sequence[Instruction],
) -> tuple[list[Instruction], dict[Var, Atom]]:
    """The code but for conversions of width alone, and what each of these converts."""
    kept: list[Instruction] = []
    origins: dict[Var, Atom] = {}
    for instruction in code:
        if not is_width_conversion(instruction):
            kept.append(instruction)
            continue
        (operand,) = instruction.operands
        origin = origins.get(operand, operand) if isinstance(operand, str) else operand
        origins[instruction.target] = origin
    return kept, origins


def is_width_conversion(instruction: Instruction) -> bool:
    """Whether an instruction converts from float to float, or from integer to integer."""
    if instruction.op != "convert":
        return False
    source: str = instruction.attribute("from")
    if is_float(instruction.dtype):
        return source == "float"
    return instruction.dtype != "bool" and source == "int"


class MachineConstant:
    """A constant that is a field of the dtype's `finfo`."""

    def __init__(self, field: str) -> None:
        self.field = field


def _merge_constants(one: Const, two: Const, target: Var | None) -> Atom | MachineConstant:
    dtype = merge_dtype(one.dtype, two.dtype)
    if not is_float(dtype):
        if one.value != two.value:
            raise DTypeDependence(f"a constant depends on the dtype: {two.value}", target)
        return Const(two.value, dtype)
    if math.isnan(one.value) and math.isnan(two.value):
        return Const(two.value, dtype)
    with np.errstate(over="ignore"):
        rounded = np.float32(two.value)
    if np.float32(one.value) == rounded and (np.isfinite(rounded) or math.isinf(two.value)):
        return Const(two.value, dtype)
    field = machine_field(one.value, two.value)
    if field is not None:
        return MachineConstant(field)
    raise DTypeDependence(
        f"a constant depends on the dtype: {one.value} in float32, {two.value} in float64", target
    )


def machine_field(single: float, double: float) -> str | None:
    """The field of `finfo` that is one number in float32, and the other in float64."""
    for field in _FINFO:
        if (single, double) == (
            float(getattr(np.finfo(np.float32), field)),
            float(getattr(np.finfo(np.float64), field)),
        ):
            return field
    return None


def merge_dtype(one: DType, two: DType) -> DType:
    """The dtype for every precision."""
    if one == two:
        return two
    if {one, two} == {"int32", "int64"}:
        return "int"
    if {one, two} <= {"weak", "float"}:
        return "float"
    return two


def merge_tapes(single: Tape, double: Tape, merging: Merging, path: str) -> Tape:
    """The tape for every dtype; raises GradgenError at the line where the two differ."""
    try:
        merged = Tape(
            primal=merging.code(single.primal, double.primal),
            partials=merging.code(single.partials, double.partials),
            custom=[
                _merge_rules(*both, merging)
                for both in zip(single.custom, double.custom, strict=True)
            ],
            frames=double.frames,
            own_rules=double.own_rules,
            rounded=double.rounded,
            guards=double.guards,
            counter=double.counter,
        )
    except DTypeDependence as difference:
        place = double.frames.get(difference.target or "", ())
        raise GradgenError(
            str(difference),
            hint="one generated text serves every dtype; use jnp.finfo(x.dtype) for machine "
            "constants, and no branches on the dtype; or have one for float32 alone, with "
            "--dtype float32",
            path=path,
            line=place[-1].line if place else None,
            column=place[-1].column if place else 0,
        ) from None
    return merged


def _merge_rules(one: Elemental, two: Elemental, merging: Merging) -> Elemental:
    """The partials of a call, for every dtype."""
    partials = []
    for (_, a), (operand, b) in zip(one.partials, two.partials, strict=True):
        partial = merging.atom(a, b, two.target)
        if isinstance(partial, MachineConstant):
            raise DTypeDependence("a partial is a machine constant", two.target)
        partials.append((operand, partial))
    return replace(two, partials=tuple(partials))
