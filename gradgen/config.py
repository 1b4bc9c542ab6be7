"""What a run is asked to do."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from gradgen.ir.eligibility import Locality
from gradgen.ir.emitted import DEFAULT_FUNCTIONS, FUNCTIONS
from gradgen.ir.graph import Elimination, Order
from gradgen.ir.module import Options, Residuals
from gradgen.ir.plan import Objective
from gradgen.ir.source import is_file

__all__ = [
    "DEFAULT_FUNCTIONS",
    "ELIMINATIONS",
    "FORMATS",
    "FUNCTIONS",
    "LOCALITIES",
    "OBJECTIVES",
    "RESIDUALS",
    "SEARCHES",
    "Settings",
]

Search = Literal["auto", "alphazero", "heuristics"]

OBJECTIVES: tuple[Objective, ...] = get_args(Objective)
ELIMINATIONS: tuple[Elimination, ...] = get_args(Elimination)
SEARCHES: tuple[Search, ...] = get_args(Search)
LOCALITIES: tuple[Locality, ...] = get_args(Locality)
RESIDUALS: tuple[Residuals, ...] = get_args(Residuals)
FORMATS = ("text", "json", "github", "sarif")
"""How findings are told to people and to programs."""


@dataclass(frozen=True)
class Settings:
    """One target: a source file, its function, and how to differentiate it."""

    path: str
    """As given; `-` for standard input, `<notebook>` for the cells of a session."""
    function: str | None = None
    directives: tuple[tuple[str, str], ...] = ()
    """(kind, text) of directives from the command line; they override the source's."""
    example: str | None = None
    """`FILE:FUNCTION`, a function that returns example arguments."""
    order: str | Order | None = None
    """`forward`, `reverse`, `markowitz`, the path of a stored order, or one; None to search."""
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
    emit: tuple[str, ...] = DEFAULT_FUNCTIONS
    residuals: Residuals = "auto"
    """What the drop-in function keeps for its backward pass."""
    locality: Locality = "auto"
    """What traces of a function on arrays keep of terms through which neurons are coupled."""
    dtypes: tuple[str, ...] = ("float32", "float64")
    """In which to verify."""
    per_neuron: bool = False
    """Whether the source is meant for one neuron and vmapped by its callers."""
    root: str | None = None
    """The folder that paths in the text are relative to; None for the working folder."""

    def shown(self, path: str) -> str:
        """A path as generated files show it: relative to the root, never absolute."""
        if not is_file(path):
            return path
        root = Path.cwd() if self.root is None else Path(os.path.realpath(self.root))
        # the name stays that of a link, so that what is shown is what was asked for
        resolved = Path(os.path.abspath(path))
        for found in (resolved, Path(os.path.realpath(path))):
            if found.is_relative_to(root):
                return found.relative_to(root).as_posix()
        return resolved.name

    def options(self) -> Options:
        """What was asked for beside source and function, where it is not the default.

        Options that only say how long and how to search are not among them: what they found is
        recorded, and how it was found does not matter any more.
        """
        given = dict[str, str | bool | tuple[str, ...]]()
        for kind in ("wrt", "static", "range", "shape", "size"):
            texts = [text for known, text in self.directives if known == kind]
            if kind == "wrt" and texts:
                given[kind] = ", ".join(part.strip() for part in ",".join(texts).split(","))
            elif texts:
                given[kind] = tuple(texts)
        if self.example is not None:
            path, colon, name = self.example.rpartition(":")
            given["example"] = f"{self.shown(path)}{colon}{name}"
        if self.per_neuron:
            given["per-neuron"] = True
        if self.objective != "muls":
            given["objective"] = self.objective
        if self.elimination != "vertex":
            given["elimination"] = self.elimination
        if self.residuals != "auto":
            given["residuals"] = self.residuals
        if self.locality != "auto":
            given["locality"] = self.locality
        if self.emit != DEFAULT_FUNCTIONS:
            given["emit"] = ",".join(self.emit)
        return tuple(given.items())
