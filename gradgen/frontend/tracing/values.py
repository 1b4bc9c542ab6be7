"""Concrete values of arguments: their structure, their parts, how they are written down."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from gradgen.errors import GradgenError
from gradgen.ir.pytree import Structure, leaf, mapping, record, sequence
from gradgen.ir.source import Parameter, Source
from gradgen.ir.trace import Bound


def structure_of(
    source: Source, parameter: Parameter, value: Any, classes: dict[str, type]
) -> Structure:
    """The structure of a concrete value; containers it meets are added to `classes`."""

    def visit(value: Any) -> Structure:
        if value is None or isinstance(value, str) or callable(value):
            return leaf("static")
        if isinstance(value, bool):
            return leaf("static")
        if isinstance(value, dict):
            return mapping(tuple((str(k), visit(v)) for k, v in value.items()))
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            classes[type(value).__name__] = type(value)
            items = tuple((f, visit(getattr(value, f))) for f in value._fields)
            return record("namedtuple", type(value).__name__, items)
        if isinstance(value, tuple | list):
            children = tuple(visit(v) for v in value)
            return sequence("tuple" if isinstance(value, tuple) else "list", children)
        if dataclasses.is_dataclass(value):
            classes[type(value).__name__] = type(value)
            items = tuple(
                (f.name, visit(getattr(value, f.name))) for f in dataclasses.fields(value)
            )
            return record("dataclass", type(value).__name__, items)
        return _array_leaf(value)

    def _array_leaf(value: Any) -> Structure:
        array = np.asarray(value)
        if array.shape != ():
            raise GradgenError(
                f"the argument '{parameter.name}' holds an array of shape {array.shape}",
                hint="gradgen differentiates per-neuron step functions, traced on scalars; pass "
                "such an array's components one by one, or define it in the module as a constant",
                path=source.path,
                line=parameter.position.line,
                column=parameter.position.column,
            )
        if array.dtype.kind == "b":
            return leaf("bool")
        if array.dtype.kind in "iu":
            return leaf("int")
        if array.dtype.kind == "f" or str(array.dtype) == "bfloat16":
            return leaf("float")
        return leaf("static")

    return visit(value)


def follow(value: Any, keys: Sequence[str]) -> Any:
    """The part of a container at a path."""
    for key in keys:
        if isinstance(value, dict):
            value = value[key]
        elif isinstance(value, list) or (isinstance(value, tuple) and not hasattr(value, key)):
            value = value[int(key)]
        else:
            value = getattr(value, key)
    return value


def literal_of(value: Any) -> str:
    """A default value as Python source that needs nothing but jax.numpy and carried containers."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{str(k)!r}: {literal_of(v)}" for k, v in value.items()) + "}"
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        fields = ", ".join(f"{f}={literal_of(getattr(value, f))}" for f in value._fields)
        return f"{type(value).__name__}({fields})"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [f.name for f in dataclasses.fields(value)]
        fields = ", ".join(f"{name}={literal_of(getattr(value, name))}" for name in names)
        return f"{type(value).__name__}({fields})"
    if isinstance(value, tuple):
        return f"({', '.join(map(literal_of, value))}{',' if len(value) == 1 else ''})"
    if isinstance(value, list):
        return f"[{', '.join(map(literal_of, value))}]"
    if value is None or isinstance(value, bool | str | int):
        return repr(value)
    if callable(value):
        # a function cannot be written down; None stands for the one that was bound
        return "None"
    number = np.asarray(value).item()
    if isinstance(number, float) and not np.isfinite(number):
        return f"float({str(number)!r})"
    return repr(number)


def bind(path: str, value: Any) -> Bound:
    """How a bound value is written down, and how another one is told from it."""
    name = getattr(value, "__name__", None)
    if callable(value) and isinstance(name, str):
        return Bound(path, "function", name)
    if value is None or isinstance(value, bool | int | float | str | np.number):
        return Bound(path, "value", literal_of(value))
    return Bound(path, "object", type(value).__name__)
