"""How loops over time run: step by step, in blocks or segments, or within a memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from gradgen.config import Settings, bytes_in
from gradgen.errors import GradgenError
from gradgen.ir.amounts import Amount
from gradgen.ir.array_counts import count_arrays
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import Var
from gradgen.ir.loops import StepValue
from gradgen.ir.program import Program
from gradgen.ir.shapes import size
from gradgen.ir.source import Source
from gradgen.lowering.block_sizes import block_size
from gradgen.lowering.blocks import Taking, in_blocks, lengths_of
from gradgen.lowering.live_bytes import live_bytes

_SEGMENTS = "-(-time // {})"
"""Steps in a segment, where there are so many."""
ROOT = "isqrt(time)"
"""How many segments take the least memory: about as many as each has steps."""


def require_loops(settings: Settings, source: Source, *, loops: bool) -> None:
    """Raise GradgenError for options about loops over time where there are none, or for two that
    say the same."""
    names = [name for name, value, default in settings.of_loops if value != default]
    if names and not loops:
        raise _error(
            source,
            f"--{names[0]} is about loops over time, and '{source.function}' has none",
            "leave it out, or take the loop into the function",
            names[0],
        )
    sizes = [name for name in names if name != "unroll"]
    if len(sizes) > 1:
        raise _error(
            source,
            f"--{sizes[0]} and --{sizes[1]} both say how many steps are taken at a time",
            f"leave out --{sizes[1]}",
            sizes[1],
        )


def _error(source: Source, message: str, hint: str, about: str) -> GradgenError:
    position = source.position
    return GradgenError(
        message,
        hint=hint,
        path=source.path,
        line=position.line,
        column=position.column,
        about=about,
    )


@dataclass(frozen=True)
class Chosen:
    """How loops run, and what a function with its derivative takes so, at the recorded sizes."""

    taking: Taking | None
    program: Program
    """The function with its derivative."""
    memory: Amount
    """Estimated: the bytes of what is kept, and of what else is there at a time."""
    bytes: int
    """These at the recorded sizes."""
    operations: int
    factor: float = 1.0
    """How many times the operations are those of what is usual."""


def choose_taking(
    settings: Settings,
    source: Source,
    trace: ArrayTrace,
    program: Program,
    inputs: Sequence[StepValue],
    late: Sequence[Var],
) -> Chosen:
    """How the loops of a program run: the function with its derivative, `late` its cotangents.

    Raises GradgenError where no way stays within the memory that was asked for.
    """
    sizes, given = dict(trace.sizes), {g.variable: g for g in inputs}
    shapes = {g.variable: g.shape for g in inputs}

    def taken(way: Taking | None) -> Chosen:
        made = in_blocks(program, inputs, way, sizes, late)
        operations = count_arrays(made, shapes, sizes).total
        memory = live_bytes(made, given, sizes)
        return Chosen(way, made, memory, memory.at(sizes), operations)

    if settings.segments is not None:
        count = ROOT if settings.segments == "auto" else settings.segments
        return taken(Taking(_SEGMENTS.format(count), segments=True))
    if settings.blocks != "auto":
        return taken(Taking(int(settings.blocks), segments=False))
    best = block_size(program, inputs, sizes, late)
    usual = taken(None if best is None else Taking(best, segments=False))
    if settings.memory is None or usual.bytes <= (allowed := bytes_in(settings.memory)):
        return usual
    steps = max(size(length, sizes) for length in lengths_of(program))
    least = usual.bytes
    for way in _ways(steps):
        tried = taken(way)
        if tried.bytes <= allowed:
            return replace(tried, factor=tried.operations / usual.operations)
        least = min(least, tried.bytes)
    raise _error(
        source,
        f"'{source.function}' takes at least {least:,} bytes at these sizes, and "
        f"{settings.memory} are allowed",
        f"allow it --memory {-(-least // 10**6)}MB, or give smaller sizes with --size",
        "memory",
    )


def _ways(steps: int) -> Iterator[Taking]:
    """Ways to run loops, of less and less memory and more and more operations."""
    for size_ in dict.fromkeys(max(2, steps // n) for n in (4, 10, 25)):
        yield Taking(size_, segments=False)
    yield Taking(_SEGMENTS.format(ROOT), segments=True)
