"""The parts of containers in JAX's order, which is read off JAX and not off declarations."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from gradgen.errors import GradgenError
from gradgen.ir.pytree import Structure, leaf


def fields_of(kind: type) -> tuple[str, ...] | None:
    """The fields of a NamedTuple or a dataclass; None for another class."""
    if issubclass(kind, tuple) and hasattr(kind, "_fields"):
        return tuple(kind._fields)
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    return None


def default_of(kind: type | None, field: str) -> Any:
    """What a NamedTuple or a dataclass has in a field where nothing is said; None if nothing."""
    if kind is None:
        return None
    if dataclasses.is_dataclass(kind):
        for known in dataclasses.fields(kind):
            if known.name == field and known.default is not dataclasses.MISSING:
                return known.default
    return getattr(kind, "_field_defaults", {}).get(field)


def in_jax_order(structure: Structure, classes: Mapping[str, type]) -> Structure:
    """The structure with the fields of each container in JAX's order.

    A field that JAX does not see is static, wherever its class is registered.
    """
    children = tuple(in_jax_order(child, classes) for child in structure.children)
    by_key = dict(zip(structure.keys, children, strict=True))
    kind = None if structure.kind == "mapping" else classes.get(structure.type_name or "")
    found = None if kind is None else children_of(kind, structure.keys)
    if found is None:
        return dataclasses.replace(structure, children=children)
    hidden = [key for key in structure.keys if key not in found]
    return dataclasses.replace(
        structure,
        keys=(*found, *hidden),
        children=(*(by_key[key] for key in found), *(leaf("static") for _ in hidden)),
    )


def children_of(kind: type, fields: Sequence[str]) -> tuple[str, ...] | None:
    """The fields that JAX sees in an instance of a class, in its order.

    None where that cannot be told: the class is not registered, or takes no numbers.
    Raises GradgenError if JAX sees something else than fields.
    """
    placeholders = {field: 0.3217 + 0.7713 * k for k, field in enumerate(fields)}
    try:
        value = kind(**placeholders)
        children, tree = jax.tree.flatten(value, is_leaf=lambda part: part is not value)
        given = {field: float(getattr(value, field)) for field in fields}
    except Exception:
        return None
    if jax.tree_util.treedef_is_leaf(tree):
        return None
    found = tuple(field for child in children for field in fields if _equal(given[field], child))
    if len(found) != len(children):
        raise GradgenError(
            f"what JAX sees in the class {kind.__name__} is not its fields",
            hint=f"register {kind.__name__} with jax.tree_util.register_dataclass",
        )
    return found


def _equal(number: float, part: Any) -> bool:
    try:
        return abs(float(part) - number) < 1e-4
    except (TypeError, ValueError):
        return False
