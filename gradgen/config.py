"""What a run is asked to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from gradgen.ir.graph import Elimination
from gradgen.ir.module import FUNCTIONS
from gradgen.ir.plan import Objective

__all__ = ["ELIMINATIONS", "FUNCTIONS", "OBJECTIVES", "SEARCHES", "Settings"]

Search = Literal["auto", "alphazero", "heuristics"]

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
ELIMINATIONS: tuple[Elimination, ...] = get_args(Elimination)
SEARCHES: tuple[Search, ...] = get_args(Search)


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
    """`forward`, `reverse`, `markowitz` or the path of a stored order; None to search for one."""
    objective: Objective = "muls"
    """Which count the search makes small."""
    elimination: Elimination = "vertex"
    """What is eliminated one at a time."""
    search: Search = "auto"
    """`auto`, `alphazero` for the general network's games, or `heuristics` for forward, reverse and
    Markowitz orders alone."""
    budget: float = 2.0
    """Seconds that the search may take."""
    seed: int = 0
    """Of the search's random numbers."""
    emit: tuple[str, ...] = FUNCTIONS
    dtypes: tuple[str, ...] = ("float32", "float64")
    """In which to verify."""
    per_neuron: bool = False
    """Whether the source is meant for one neuron and vmapped by its callers."""
