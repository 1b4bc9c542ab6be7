"""What a run is asked to do."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from gradgen.ir.eligibility import Locality
from gradgen.ir.emitted import DEFAULT_FUNCTIONS, FUNCTIONS
from gradgen.ir.graph import Elimination, Order
from gradgen.ir.module import Options, Residuals
from gradgen.ir.objective import FEW_MULTIPLICATIONS, NAMED, Objective
from gradgen.ir.prices import COUNTED
from gradgen.ir.source import is_file

__all__ = [
    "DEFAULT_FUNCTIONS",
    "DTYPES",
    "ELIMINATIONS",
    "FORMATS",
    "FUNCTIONS",
    "LOCALITIES",
    "OBJECTIVES",
    "RESIDUALS",
    "SEARCHES",
    "Settings",
    "bytes_in",
    "is_count_or_auto",
]

Search = Literal["auto", "alphazero", "heuristics"]

OBJECTIVES: tuple[str, ...] = tuple(NAMED)
ELIMINATIONS: tuple[Elimination, ...] = get_args(Elimination)
SEARCHES: tuple[Search, ...] = get_args(Search)
LOCALITIES: tuple[Locality, ...] = get_args(Locality)
RESIDUALS: tuple[Residuals, ...] = get_args(Residuals)
DTYPES = ("float32",)
"""The dtypes that a text can be for alone."""
FORMATS = ("text", "json", "github", "sarif")
"""How findings are told to people and to programs."""
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9}


def bytes_in(text: str) -> int:
    """The bytes that `200MB`, `1.5GB` or `300000` say; raises ValueError for anything else."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMG]?)B?", text.strip())
    if match is None:
        raise ValueError(f"'{text}' is no memory such as 200MB or 1.5GB")
    return int(float(match[1]) * _UNITS[match[2]])


def is_count_or_auto(value: object) -> bool:
    """Whether a text is a number from 1, or `auto`."""
    text = str(value)
    return text == "auto" or (text.isascii() and text.isdigit() and int(text) > 0)


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
    objective: Objective = FEW_MULTIPLICATIONS
    """What is made small."""
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
    blocks: str = "auto"
    """How many steps of a loop over time are taken at a time; `auto` where that is faster."""
    segments: str | None = None
    """Into how many segments loops over time are cut, of which the starts alone are stored; `auto`
    for the square root of the number of steps."""
    unroll: str = "auto"
    """How many steps of a loop are written out in a row where it is compiled."""
    memory: str | None = None
    """What the gradient may take at the recorded sizes, such as `200MB`."""
    locality: Locality = "auto"
    """What traces of a function on arrays keep of terms through which neurons are coupled."""
    per_neuron: bool = False
    """Whether the source is meant for one neuron and vmapped by its callers."""
    root: str | None = None
    """The folder that paths in the text are relative to; None for the working folder."""

    @property
    def of_loops(self) -> tuple[tuple[str, str | None, str | None], ...]:
        """The options about loops over time: their names, what they say, and what is usual."""
        return (
            ("blocks", self.blocks, "auto"),
            ("segments", self.segments, None),
            ("unroll", self.unroll, "auto"),
            ("memory", self.memory, None),
        )

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
        for kind in ("wrt", "static", "range", "shape", "size", "dtype"):
            texts = [text for known, text in self.directives if known == kind]
            if kind == "wrt" and texts:
                given[kind] = ", ".join(part.strip() for part in ",".join(texts).split(","))
            elif kind == "dtype" and texts:
                given[kind] = texts[-1]
            elif texts:
                given[kind] = tuple(texts)
        if self.example is not None:
            path, colon, name = self.example.rpartition(":")
            given["example"] = f"{self.shown(path)}{colon}{name}"
        if self.per_neuron:
            given["per-neuron"] = True
        if self.objective.name != "muls":
            given["objective"] = self.objective.name
        prices = self.objective.prices
        if prices != COUNTED:
            source = self.shown(prices.source) if prices.in_file else prices.source
            given["prices"] = f"{source}:{prices.precision}"
        if self.elimination != "vertex":
            given["elimination"] = self.elimination
        if self.residuals != "auto":
            given["residuals"] = self.residuals
        for name, value, default in self.of_loops:
            if value is not None and value != default:
                given[name] = value
        if self.locality != "auto":
            given["locality"] = self.locality
        if self.emit != DEFAULT_FUNCTIONS:
            given["emit"] = ",".join(self.emit)
        return tuple(given.items())
