"""The decisions behind a generated module: with its source they determine every line of it."""

from __future__ import annotations

from dataclasses import dataclass

from gradgen.ir.graph import Order

Steps = str | tuple[str, ...]
"""The name of a heuristic that gives the order, or its steps."""


@dataclass(frozen=True)
class Recipe:
    """What was searched for once, and is replayed ever after."""

    order: Order
    """Of the Jacobian's accumulation."""
    rewriting: int | None
    """Where the Jacobian's rewriting started from; None where no program is rewritten."""
    vjp: Steps
    """Of the vector-Jacobian product's accumulation."""
    jvp: Steps
    """Of the Jacobian-vector product's accumulation."""
