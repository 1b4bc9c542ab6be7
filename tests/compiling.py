"""Compiles what tests run once: XLA takes longer over its optimisations than they would save."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax


def run_compiled(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns, compiled as fast as can be, and not operation by operation."""
    lowered = jax.jit(function).lower(*arguments)
    return lowered.compile({"xla_backend_optimization_level": 0})(*arguments)
