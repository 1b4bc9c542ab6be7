"""Straight-line code in single assignment form: what traces, partials and programs are made of."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gradgen.ir.operations import OPERATIONS


class Nested:
    """Code inside an instruction."""


Attribute = str | int | bool | tuple["Attribute", ...] | Nested
DType = str
"""`float` follows the inputs' dtype, `weak` is a weakly typed float; `int` and `bool`; or the name
of a fixed dtype (`float32`, `int32`) that the source asks for."""


@dataclass(frozen=True)
class Const:
    """A number known when the code is generated."""

    value: float | int | bool
    dtype: DType = "weak"

    def __post_init__(self) -> None:
        """Keep 1 and 1.0 and True apart, which Python's equality does not."""
        if self.dtype == "bool":
            object.__setattr__(self, "value", bool(self.value))
        elif is_float(self.dtype):
            object.__setattr__(self, "value", float(self.value))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Const) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[str, str]:
        # repr tells -0.0 from 0.0 and makes nan equal to itself; a float literal is weakly typed
        # however it was traced, so only fixed dtypes distinguish
        return repr(self.value), "weak" if self.dtype == "float" else self.dtype


Var = str
Atom = Var | Const


def shown_atom(atom: Atom) -> str:
    """A variable's name, or a number, as people read them."""
    return atom if isinstance(atom, str) else repr(atom.value)


@dataclass(frozen=True)
class Instruction:
    """`target = op(*operands)`."""

    target: Var
    op: str
    operands: tuple[Atom, ...]
    attributes: tuple[tuple[str, Attribute], ...] = ()
    dtype: DType = "float"
    line: int | None = field(default=None, compare=False, repr=False)
    """Of the source, that asks for it, as far as that is known; it is no part of what is said."""

    def attribute(self, name: str) -> Any:
        """An attribute by name; KeyError if there is none."""
        return dict(self.attributes)[name]

    @property
    def variables(self) -> tuple[Var, ...]:
        """The operands that are variables."""
        return tuple([a for a in self.operands if isinstance(a, str)])

    def pretty(self) -> str:
        """`x = mul(a, 0.5)`."""
        shown = [shown_atom(a) for a in self.operands]
        shown += [f"{name}={value}" for name, value in self.attributes]
        return f"{self.target} = {self.op}({', '.join(shown)})"


STRONG: DType = "float_default"
"""The dtype of a strongly typed number such as `numpy.float64(0.9)`: JAX's default float."""

WORKING: frozenset[DType] = frozenset({"float", "weak", STRONG})
"""The dtypes that are whatever precision a program runs in."""


def is_float(dtype: DType) -> bool:
    """Whether values of this dtype can carry derivatives."""
    return dtype in WORKING or dtype.startswith(("float", "bfloat"))


def concrete(dtype: DType, working: str) -> str:
    """What a dtype is where floats are of the dtype `working`, and integers as wide as they are."""
    if dtype in WORKING:
        return working
    return ("int64" if working == "float64" else "int32") if dtype == "int" else dtype


def shortest_float32(value: float) -> str:
    """The shortest decimal that rounds to the float32 nearest to a number."""
    rounded = _float32(value)
    if not math.isfinite(rounded):
        return repr(rounded)
    candidates = (f"{rounded:.{digits}g}" for digits in range(1, 10))
    return next(c for c in candidates if _float32(float(c)) == rounded)


def _float32(value: float) -> float:
    try:
        (rounded,) = struct.unpack("f", struct.pack("f", value))
    except OverflowError:
        return math.copysign(math.inf, value)
    return float(rounded)


def is_zero(atom: Atom) -> bool:
    """Whether an atom is the number zero."""
    return isinstance(atom, Const) and atom.value == 0 and atom.dtype != "bool"


def check_code(instructions: Iterable[Instruction], defined: Iterable[Var]) -> frozenset[Var]:
    """Raise ValueError unless every variable is assigned once and before its use.

    Returns all variables that are defined at the end.
    """
    known = set(defined)
    for instruction in instructions:
        operation = OPERATIONS.get(instruction.op)
        if operation is None:
            raise ValueError(f"unknown operation {instruction.op!r}")
        arity = len(instruction.operands)
        if operation.arity not in (arity, -1):
            raise ValueError(f"{instruction.pretty()}: {operation.arity} operands expected")
        for variable in instruction.variables:
            if variable not in known:
                raise ValueError(f"{instruction.pretty()}: {variable} is not defined")
        if instruction.target in known:
            raise ValueError(f"{instruction.target} is assigned twice")
        known.add(instruction.target)
    return frozenset(known)


def live_code(
    instructions: Iterable[Instruction], roots: Iterable[Atom]
) -> tuple[Instruction, ...]:
    """The instructions that the roots depend on, in their order (dead-code elimination)."""
    ordered = tuple(instructions)
    needed = {atom for atom in roots if isinstance(atom, str)}
    kept: list[Instruction] = []
    for instruction in reversed(ordered):
        if instruction.target in needed:
            kept.append(instruction)
            needed.update(instruction.variables)
    return tuple(reversed(kept))


def substitute(instruction: Instruction, renaming: Mapping[Var, Atom]) -> Instruction:
    """The instruction with its operands replaced where the renaming says so."""
    i = instruction
    operands = tuple([renaming.get(a, a) if isinstance(a, str) else a for a in i.operands])
    return Instruction(i.target, i.op, operands, i.attributes, i.dtype, i.line)


def uses(instructions: Iterable[Instruction], roots: Iterable[Atom]) -> dict[Var, int]:
    """How often each variable is read, by instructions and as a root."""
    count: dict[Var, int] = {}
    for operands in (*[i.operands for i in instructions], tuple(roots)):
        for atom in operands:
            if isinstance(atom, str):
                count[atom] = count.get(atom, 0) + 1
    return count
