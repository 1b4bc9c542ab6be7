"""What was measured of a text on arrays: times of its parts beside those of JAX, and memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Timed:
    """A program among those that took turns."""

    name: str
    milliseconds: float
    """The median over the rounds."""
    ratio: float
    """The median over the rounds of its time, over that of the first program in the same round."""
    megabytes: float | None
    """What XLA reports as temporary memory, in millions of bytes.

    None for one pass alone, which hands what is kept over to the other.
    """


@dataclass(frozen=True)
class PartTimes:
    """Programs that do the same part of the work, each in its way."""

    title: str
    programs: tuple[Timed, ...]


@dataclass(frozen=True)
class Times:
    """Everything that was measured in one run."""

    parts: tuple[PartTimes, ...]
    rounds: int
    sizes: tuple[tuple[str, int], ...]
    """Of the axes."""
    dtype: str
    device: str
    """What it was measured on, in JAX's words, and with which version of JAX."""
