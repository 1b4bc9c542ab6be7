"""Compiles what tests run once: XLA takes longer over its optimisations than they would save."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax


def compiled(function: Callable[..., Any], *arguments: Any) -> Callable[..., Any]:
    """A function for arguments like these, compiled as fast as can be."""
    lowered = jax.jit(function).lower(*arguments)
    return lowered.compile({"xla_backend_optimization_level": 0})


def run_compiled(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns, compiled so, and not operation by operation."""
    return compiled(function, *arguments)(*arguments)
