"""How each elementwise primitive of JAX becomes an operation, and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
from jax import lax

from gradgen.ir.code import Attribute
from gradgen.ir.operations import OPERATIONS

_RENAMED = {"add_any": "add", "convert_element_type": "convert"}
_COPIES = frozenset({"copy", "copy_p", "name", "optimization_barrier", "pvary", "pcast"})
_SPECIAL = frozenset({"select", "finfo", "library", "derivative"})


def operation_of(primitive: str) -> str | None:
    """The operation of an elementwise primitive; None if it is not one that we know."""
    name = _RENAMED.get(primitive, primitive)
    known = name in OPERATIONS and name not in _SPECIAL and OPERATIONS[name].kind != "array"
    return name if known else None


def is_copy(primitive: str) -> bool:
    """Whether a primitive hands its operands on unchanged."""
    return primitive in _COPIES


def attributes_of(op: str, params: Mapping[str, Any]) -> tuple[tuple[str, Attribute], ...] | None:
    """What of a primitive's parameters changes its result; None if that cannot be expressed."""
    if params.get("accuracy") is not None:
        return None
    match op:
        case "integer_pow":
            return (("y", int(params["y"])),)
        case "round":
            even = params["rounding_method"] == lax.RoundingMethod.TO_NEAREST_EVEN
            return (("mode", "even" if even else "away"),)
        case "reduce_precision":
            return (
                ("exponent_bits", int(params["exponent_bits"])),
                ("mantissa_bits", int(params["mantissa_bits"])),
            )
    return ()


def function_of(op: str, attributes: tuple[tuple[str, Attribute], ...]) -> Callable[..., Any]:
    """The operation as a JAX function of its operands, whose JVP rule gives the partials."""
    given: dict[str, Any] = dict(attributes)
    match op:
        case "select":
            return lambda condition, x, y: lax.select(condition, x, y)
        case "integer_pow":
            return lambda x: lax.integer_pow(x, given["y"])
        case "round":
            even = given["mode"] == "even"
            method = lax.RoundingMethod.TO_NEAREST_EVEN if even else lax.RoundingMethod(0)
            return lambda x: lax.round(x, method)
        case "reduce_precision":
            return lambda x: lax.reduce_precision(x, **given)
        case "library":
            return library_function(str(given["function"]))
    function: Callable[..., Any] = getattr(lax, OPERATIONS[op].lax or op)
    return function


def library_function(name: str) -> Callable[..., Any]:
    """A function of jax.numpy by its name."""
    function: Callable[..., Any] = getattr(jnp, name)
    return function
