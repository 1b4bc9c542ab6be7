"""What a run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass

from gradgen.ir.module import FUNCTIONS

__all__ = ["FUNCTIONS", "Settings"]


@dataclass(frozen=True)
class Settings:
    """One target: a source file, its function, and how to differentiate it."""

    path: str
    """As given; `-` for standard input."""
    function: str | None = None
    directives: tuple[tuple[str, str], ...] = ()
    """(kind, text) of directives from the command line; they override the source's."""
    example: str | None = None
    """`FILE:FUNCTION`, a function that returns example arguments."""
    order: str | None = None
    """`forward`, `reverse`, `markowitz` or the path of a stored order; None for the cheapest."""
    emit: tuple[str, ...] = FUNCTIONS
    dtypes: tuple[str, ...] = ("float32", "float64")
    """In which to verify."""
    per_neuron: bool = False
    """Whether the source is meant for one neuron and vmapped by its callers."""
