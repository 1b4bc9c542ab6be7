"""Values as Python expressions, in the words of a module."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from gradgen.errors import GradgenError
from gradgen.frontend.tracing.values import literal_of


def expression_of(name: str, value: Any, namespace: Mapping[str, Any]) -> str:
    """The expression that gives an argument's value, evaluated where the function is defined.

    Raises GradgenError for what can neither be written down nor is known there by a name.
    """
    known = _name_of(value, namespace)
    if known is not None:
        return known
    if not callable(value):
        with contextlib.suppress(TypeError, ValueError, SyntaxError):
            text = literal_of(value)
            compile(text, "<static>", "eval")
            return text
    raise GradgenError(
        f"the static value of '{name}', of the type {type(value).__name__}, cannot be written down",
        hint="numbers, strings and containers of them can, and what the function's module knows by "
        "a name",
    )


def _name_of(value: Any, namespace: Mapping[str, Any]) -> str | None:
    """`jnp.tanh`, where the module knows `jnp`; numbers and the like have no name."""
    own = getattr(value, "__name__", None)
    if not callable(value) or not isinstance(own, str):
        return None
    if namespace.get(own) is value:
        return own
    for module, holder in namespace.items():
        if isinstance(holder, ModuleType) and getattr(holder, own, None) is value:
            return f"{module}.{own}"
    return None
