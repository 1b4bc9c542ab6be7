"""Which float's dtype a conversion, or a machine constant, follows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from gradgen.ir.code import Atom, Const, Instruction, Var

DEFAULT: Var = "float"
"""Stands for JAX's default float, which no variable has, among what conversions follow."""


def dtype_references(
    code: Sequence[Instruction], floats: Sequence[Var], leaves: Mapping[Var, Var]
) -> dict[Var, Var]:
    """For conversions and machine constants: the float variable whose dtype they follow.

    That is the leaf which is known to be it, or else the first float that the converted value
    depends on. `floats` are the code's float inputs that may be followed: what is computed of
    others alone is not followed either.
    """
    definitions = {i.target: i for i in code}
    followed = set(floats)
    for instruction in code:
        if not followed.isdisjoint(instruction.variables):
            followed.add(instruction.target)
    known, first = {*floats, DEFAULT}, floats[0] if floats else DEFAULT
    references: dict[Var, Var] = {}
    for instruction in code:
        leaf = leaves.get(instruction.target)
        if instruction.op == "convert" and instruction.dtype == "float":
            found = _nearest_float(instruction.operands[0], definitions, followed)
            references[instruction.target] = leaf if leaf in known else found or first
        elif instruction.op == "finfo":
            references[instruction.target] = leaf if leaf in known else instruction.variables[0]
    return references


def _nearest_float(
    atom: Atom, definitions: Mapping[Var, Instruction], followed: Collection[Var]
) -> Var | None:
    """The first float on which a truth value or integer depends, of those that may be followed."""
    if isinstance(atom, Const) or atom not in followed:
        return None
    definition = definitions.get(atom)
    if definition is None or definition.dtype == "float":
        return atom
    for operand in definition.operands:
        found = _nearest_float(operand, definitions, followed)
        if found is not None:
            return found
    return None
