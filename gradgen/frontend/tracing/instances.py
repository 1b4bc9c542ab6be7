"""Objects with numbers in their attributes: what a method's instance holds, and others like it."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from functools import cached_property
from types import FunctionType, ModuleType
from typing import Any

import jax
import numpy as np

_NUMBERS = (bool, int, float, complex, np.generic, np.ndarray, jax.Array)
_STATE = (float, np.inexact, np.ndarray, jax.Array)
"""What state is held as; integers of Python decide what code does."""
_OF_LIBRARIES = ("_pytree__", "_object__")
"""How attributes begin that Flax keeps its own accounts in."""


def attributes_of(value: Any) -> dict[str, Any]:
    """What an object holds, by name: first what JAX sees, in its order.

    Of a dataclass its fields, and what its `__post_init__` has added; nothing of what has neither
    fields nor a `__dict__`, as numbers and arrays, and of modules, functions and classes.
    """
    if isinstance(value, ModuleType | FunctionType | type):
        return {}
    own = dict(getattr(value, "__dict__", {}))
    fields = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
    names = [field.name for field in fields if hasattr(value, field.name)]
    names += [n for n in own if n not in names and not (fields and n.startswith("_"))]
    names = [n for n in names if not (n.startswith(_OF_LIBRARIES) or _is_cached(value, n))]
    seen = [name for name in children_of_instance(value) if name in names]
    return {name: getattr(value, name) for name in dict.fromkeys([*seen, *names])}


def _is_cached(value: Any, name: str) -> bool:
    """Whether this is what a property has computed from other attributes, and keeps."""
    return isinstance(getattr(type(value), name, None), cached_property)


def children_of_instance(value: Any) -> list[str]:
    """The attributes of an object that JAX sees, in its order, as far as its class names them."""
    try:
        children, _ = jax.tree_util.tree_flatten_with_path(value, is_leaf=lambda x: x is not value)
    except Exception:  # of what an object's own flattening raises nothing follows
        return []
    keys = [path[0] for path, _ in children if len(path) == 1]
    return [key.name for key in keys if isinstance(key, jax.tree_util.GetAttrKey)]


def is_wrapper(value: Any) -> bool:
    """Whether this stands for the one array that it holds, as `flax.nnx.Param` does."""
    return hasattr(value, "__jax_array__") and not isinstance(value, jax.Array)


def is_object(value: Any) -> bool:
    """Whether JAX takes a value apart into attributes and it can only be copied, as a module.

    A dataclass whose constructor takes its fields as they are is none, unless it can be called.
    """
    if isinstance(value, tuple | list | Mapping | type):
        return False
    parameters = getattr(type(value), "__dataclass_params__", None)
    made_of_fields = parameters is not None and parameters.init
    return bool(children_of_instance(value)) and (callable(value) or not made_of_fields)


def within(value: Any) -> Any:
    """The array that a wrapper stands for; what is none as it is."""
    if not is_wrapper(value):
        return value
    leaves = jax.tree.leaves(value)
    return leaves[0] if len(leaves) == 1 else value


def rebuilt(value: Any, parts: Mapping[str, Any]) -> Any:
    """A copy of an object with other values in some attributes; nothing of its class is called."""
    made = copy.copy(value)
    for name in [name for name in getattr(made, "__dict__", {}) if _is_cached(made, name)]:
        object.__delattr__(made, name)
    for name, part in parts.items():
        kept = getattr(value, name)
        if part is not None and is_wrapper(kept):
            part = jax.tree.unflatten(jax.tree.structure(kept), [part])
        object.__setattr__(made, name, part)
    return made


def changes(before: Mapping[str, Any], after: Any) -> tuple[dict[str, Any], list[str]]:
    """What an object holds in place of floats and arrays that it held, and what else has changed.

    Both by dotted path; `before` is what `snapshot` gave.
    """
    now = snapshot(after)
    state: dict[str, Any] = {}
    others = []
    for path in {**before, **now}:
        was, found = before.get(path), now.get(path)
        if path in before and path in now and was is found:
            continue
        if isinstance(was, _STATE) and isinstance(found, _STATE):
            state[path] = found
        elif not (isinstance(was, dict | list | tuple) and type(was) is type(found)):
            others.append(path)  # what is in containers has paths of its own
    return state, others


def is_set_up(before: Mapping[str, Any], after: Any) -> bool:
    """Whether an object has what it had before, and what holds no numbers where there was nothing.

    Such is what is made when it is first asked for.
    """
    now = snapshot(after)
    there = {path: part for path, part in before.items() if part is not None}
    made = [part for path, part in now.items() if path not in there]
    kept = all(path in now and now[path] is part for path, part in there.items())
    return kept and not any(isinstance(part, _NUMBERS) for part in made)


def snapshot(value: Any) -> dict[str, Any]:
    """All that an object holds, with what objects, lists and dicts in it hold, by dotted path."""
    return dict(_held(value, "", set()))


def _held(value: Any, path: str, known: set[int]) -> Iterator[tuple[str, Any]]:
    if id(value) in known:
        return
    known.add(id(value))
    match value:
        case dict():
            parts = {str(key): part for key, part in value.items()}
        case list() | tuple():
            parts = {str(k): part for k, part in enumerate(value)}
        case _:
            parts = attributes_of(value)
    for name, part in parts.items():
        inner = f"{path}.{name}" if path else name
        yield inner, within(part)
        if not is_wrapper(part):
            yield from _held(part, inner, known)
