"""Concrete values of arguments: their structure, their parts, how they are written down."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from gradgen.errors import GradgenError, error_in
from gradgen.frontend.tracing.containers import fields_of
from gradgen.frontend.tracing.instances import (
    attributes_of,
    children_of_instance,
    is_object,
    is_wrapper,
    within,
)
from gradgen.ir.code import DType
from gradgen.ir.pytree import Structure, leaf, mapping, record, sequence
from gradgen.ir.source import Parameter, Source
from gradgen.ir.trace import Bound


def structure_of(
    source: Source,
    parameter: Parameter,
    value: Any,
    classes: dict[str, type],
    *,
    arrays: bool = False,
    instance: bool = False,
) -> Structure:
    """The structure of a concrete value; containers it meets are added to `classes`.

    With `arrays`, those of numbers, and keys for random numbers, are leaves as well, and mappings
    and objects may be in it that JAX takes apart. An `instance` is an object, and so is whatever
    has floats in its attributes there; integers are static.
    """

    def refused(message: str, hint: str) -> GradgenError:
        place = parameter.position
        return error_in(source, message, hint=hint, at=place)

    def note(kind: type) -> None:
        # a file that is the example's as well has been executed twice: the function's class counts
        known = classes.get(kind.__name__)
        if known is None or fields_of(known) != fields_of(kind):
            classes[kind.__name__] = kind

    def attribute(value: Any) -> Structure:
        """The structure of an attribute of an object: a float, or what holds floats, or static."""
        value = within(value)
        named = callable(value) and hasattr(value, "__name__")
        if value is None or named or isinstance(value, bool | int | str | type):
            return leaf("static")
        if isinstance(value, jax.Array | np.ndarray | float | np.generic):
            return _array_leaf(value)
        if id(value) in around:
            raise RecursionError
        around.append(id(value))
        found = holding(value)
        around.pop()
        floats = any(part.kind == "float" for _, part in found.leaves())
        # what else an object holds is static, and guarded by what it shows of itself, or bit by bit
        return found if floats or (found.keys and " at 0x" in repr(value)) else leaf("static")

    def holding(value: Any) -> Structure:
        """The structure of what is no single value."""
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            note(type(value))
            items = tuple((f, attribute(getattr(value, f))) for f in value._fields)
            return record("namedtuple", type(value).__name__, items)
        if isinstance(value, tuple | list):
            kind: Literal["tuple", "list"] = "tuple" if isinstance(value, tuple) else "list"
            return sequence(kind, tuple(map(attribute, value)))
        if isinstance(value, dict):
            if not all(isinstance(key, str) for key in value):
                return leaf("static")
            return mapping(tuple((key, attribute(part)) for key, part in value.items()))
        return entity(value)

    def entity(value: Any) -> Structure:
        items = tuple((name, attribute(part)) for name, part in attributes_of(value).items())
        seen = children_of_instance(value)
        hidden = tuple(name for name, _ in items if seen and name not in seen)
        return replace(record("object", type(value).__name__, items), hidden=hidden)

    around = [id(value)]

    def visit(value: Any) -> Structure:
        if arrays and is_wrapper(value):
            raise refused(
                f"the argument '{parameter.name}' holds a {type(value).__name__}, not an array",
                "pass what is in it, in the example and in calls, as in x[...]; or all that there "
                "are, as the State that flax.nnx.split or flax.nnx.state returns",
            )
        if arrays and is_object(value):
            return entity(value)
        if value is None or isinstance(value, str) or callable(value):
            return leaf("static")
        if isinstance(value, bool):
            return leaf("static")
        if arrays and isinstance(value, Mapping) and not isinstance(value, dict):
            return registered(value, type(value).__name__)
        if isinstance(value, dict):
            for key in value:
                if not isinstance(key, str):
                    raise refused(
                        f"the argument '{parameter.name}' holds a dict with the key {key!r}",
                        "keys have to be strings; or use a tuple or a list",
                    )
            return mapping(tuple((key, visit(part)) for key, part in value.items()))
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            note(type(value))
            items = tuple((f, visit(getattr(value, f))) for f in value._fields)
            return record("namedtuple", type(value).__name__, items)
        if isinstance(value, tuple | list):
            children = tuple(visit(v) for v in value)
            return sequence("tuple" if isinstance(value, tuple) else "list", children)
        if dataclasses.is_dataclass(value):
            note(type(value))
            items = tuple(
                (f.name, visit(getattr(value, f.name))) for f in dataclasses.fields(value)
            )
            return record("dataclass", type(value).__name__, items)
        return _array_leaf(value)

    def not_taken(what: str) -> GradgenError:
        return refused(
            f"the argument '{parameter.name}' holds {what}",
            "pass its arrays in tuples, lists or dicts",
        )

    def registered(value: Any, name: str) -> Structure:
        """The structure of a mapping that is no dict, or of what is nested in one, off JAX."""
        parts, _ = jax.tree_util.tree_flatten_with_path(value, is_leaf=lambda x: x is not value)
        items: list[tuple[str, Structure]] = []
        for path, part in parts:
            key = path[0].key if path and isinstance(path[0], jax.tree_util.DictKey) else None
            if key is None:
                raise not_taken(f"a {name}, which JAX does not take apart by keys")
            if not (type(key) is int and key >= 0) and (
                not isinstance(key, str) or key.isdecimal()
            ):
                raise not_taken(f"a {name} with the key {key!r}")
            part = within(part)
            if part is None:
                continue
            found = leaf("static")
            if isinstance(part, Mapping):
                found = registered(part, name)
            elif isinstance(part, jax.Array | np.ndarray | float | int | np.generic):
                found = _array_leaf(part)
            if found.kind == "static":
                raise not_taken(f"a {name} with a value under {key!r} which is no array")
            items.append((str(key), found))
        return record("mapping", name, tuple(items))

    def _array_leaf(value: Any) -> Structure:
        if arrays and dtype_of(value) == "key":
            return leaf("int")
        try:
            array = np.asarray(value)
        except TypeError:
            raise refused(
                f"the argument '{parameter.name}' holds an array of dtype {value.dtype}, which are "
                "no numbers",
                "draw random numbers outside the step, and pass them",
            ) from None
        if array.shape != () and arrays:
            if dtype_of(value) not in ARRAY_DTYPES:
                raise refused(
                    f"the argument '{parameter.name}' holds an array of dtype {array.dtype}",
                    f"arrays are of one of: {', '.join(ARRAY_DTYPES)}",
                )
        elif array.shape != ():
            raise refused(
                f"the argument '{parameter.name}' holds an array of shape {array.shape}",
                "a step function of a neuron is traced on scalars: pass such an array's components "
                "one by one, or define it in the module as a constant; a function on arrays takes "
                "it without a default value, with its shape stated",
            )
        if array.dtype.kind == "b":
            return leaf("bool")
        if array.dtype.kind in "iu":
            # what does not fit into JAX's integers is used as Python's
            fits = array.shape != () or -(2**31) <= int(array) < 2**31
            return leaf("int" if fits else "static")
        if array.dtype.kind == "f" or str(array.dtype) == "bfloat16":
            return leaf("float")
        return leaf("static")

    try:
        if instance:
            return holding(value) if hasattr(value, "_fields") else entity(value)
        return visit(value)
    except RecursionError:
        raise refused(
            f"the argument '{parameter.name}' holds itself, or nests too deeply",
            "pass tuples, lists and dicts of numbers",
        ) from None


ARRAY_DTYPES = ("float", "bool", "int", "uint8", "uint32", "key")
"""What arrays may be of: `float` in any precision, `int` of JAX's usual width."""


def dtype_of(value: Any) -> DType:
    """The dtype of a value as shapes have it, among `ARRAY_DTYPES` or not."""
    dtype = getattr(value, "dtype", None)
    if dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key):
        return "key"
    name = str(np.asarray(value).dtype) if dtype is None else str(dtype)
    if name.startswith(("float", "bfloat")):
        return "float"
    return "int" if name in ("int32", "int64") else name


def part_of(value: Any, structure: Structure, key: str) -> Any:
    """A part of a container of the given structure."""
    match structure.kind:
        case "object":
            return within(getattr(value, key))
        case "dict":
            return value[key]
        case "mapping":
            return within(value[int(key) if key.isdecimal() else key])
        case "tuple" | "list" | "parts":
            return value[int(key)]
    return getattr(value, key)


def literal_of(value: Any) -> str:
    """A default value as Python source that needs nothing but jax.numpy and carried containers."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k!r}: {literal_of(v)}" for k, v in value.items()) + "}"
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
    if value is None or isinstance(value, bool | str | int | complex | bytes):
        return repr(value)
    if callable(value):
        # a function cannot be written down; None stands for the one that was bound
        return "None"
    number = np.asarray(value).item()
    shown = repr(number)
    if isinstance(number, float) and not np.isfinite(number):
        shown = f"float({str(number)!r})"
    return _typed(value, shown)


def _typed(value: Any, shown: str) -> str:
    """A float as strongly typed as it is: of NumPy or JAX it promotes others, of Python not."""
    dtype = np.asarray(value).dtype
    if isinstance(value, float) and not isinstance(value, np.generic):
        return shown
    if not jnp.issubdtype(dtype, jnp.floating) or getattr(value, "weak_type", False):
        return shown
    module = "np" if hasattr(np, dtype.name) and not isinstance(value, jax.Array) else "jnp"
    return f"{module}.{dtype}({shown})"


def bind(path: str, value: Any) -> Bound:
    """How a bound value is written down, and how another one is told from it."""
    name = getattr(value, "__name__", None)
    if callable(value) and isinstance(name, str):
        return Bound(path, "function", name)
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | np.number):
        plain = value.item() if isinstance(value, np.generic) else value
        return Bound(path, "value", literal_of(plain))
    shown = repr(value)
    if " at 0x" in shown or not shown.isprintable():
        return Bound(path, "type", type(value).__name__)  # no two of it can be told apart
    return Bound(path, "object", shown)
