"""Generated functions whose result has arrays of variables, called with the parts of these."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp

from gradgen.ir.pytree import Columns, Rows, Structure

_LIKE_THE_RESULT = frozenset({"result", "tangents", "jacobian", "gradient"})
"""What is nested as the result is, by the names that records of functions have for it."""


def has_arrays(structure: Structure) -> bool:
    """Whether an array in it has variables along an axis."""
    return structure.is_array or any(map(has_arrays, structure.children))


def in_parts(
    function: Callable[..., Any], result: Structure, returns: Collection[str]
) -> Callable[..., Any]:
    """The function with `Rows` and `Columns` for the arrays that it takes and returns.

    They are those of the source's result; `returns` names what the function returns.
    """

    @functools.wraps(function)
    def called(*arguments: Any, **more: Any) -> Any:
        found = function(*jax.tree.map(_whole, arguments, is_leaf=_is_array), **more)
        if not returns:
            return found
        if len(returns) == 1:
            return _apart(result, found) if _LIKE_THE_RESULT.issuperset(returns) else found
        return tuple(
            _apart(result, part) if name in _LIKE_THE_RESULT else part
            for name, part in zip(returns, found, strict=True)
        )

    return called


def _is_array(value: Any) -> bool:
    return isinstance(value, Rows)


def _whole(value: Any) -> Any:
    return jnp.stack(value, axis=value.axis) if isinstance(value, Rows) else value


def _apart(structure: Structure, tree: Any) -> Any:
    """What is nested as a result, with each array in parts, or what there is in its place."""
    if structure.is_array:
        kind = Columns if structure.kind == "columns" else Rows
        places = range(len(structure.keys))
        return kind(
            jax.tree.map(lambda array, k=k: jnp.take(array, k, kind.axis), tree) for k in places
        )
    children = zip(structure.keys, structure.children, strict=True)
    match structure.kind:
        case "tuple" | "list" | "namedtuple":
            parts = [_apart(s, part) for (_, s), part in zip(children, tree, strict=True)]
            return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
        case "dict":
            return {key: _apart(child, tree[key]) for key, child in children}
        case "dataclass":
            fields = {key: _apart(child, getattr(tree, key)) for key, child in children}
            return dataclasses.replace(tree, **fields)
    return tree
