"""How loops over time are to run: in blocks or segments of steps, within a memory, or as they are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gradgen.config import Settings, bytes_in
from gradgen.errors import GradgenError
from gradgen.ir.array_counts import count_arrays
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import Var
from gradgen.ir.loops import Given
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
    """How loops run, and what that takes at the recorded sizes."""

    taking: Taking | None
    bytes: int
    """Estimated: what is kept, and what else is there at a time."""
    operations: int
    """Of the function and its derivative."""


def choose_taking(
    settings: Settings,
    source: Source,
    trace: ArrayTrace,
    program: Program,
    inputs: Sequence[Given],
    late: Sequence[Var],
) -> tuple[Taking | None, float]:
    """How the loops of a program run, and how many times the operations of the plain one that
    takes. `program` is the function with its derivative, `late` its cotangents.

    Raises GradgenError where no way stays within the memory that was asked for.
    """
    sizes = dict(trace.sizes)
    if settings.segments is not None:
        count = ROOT if settings.segments == "auto" else settings.segments
        return Taking(_SEGMENTS.format(count), segments=True), 1.0
    if settings.blocks != "auto":
        return Taking(int(settings.blocks), segments=False), 1.0
    best = block_size(program, inputs, sizes, late)
    usual = None if best is None else Taking(best, segments=False)
    if settings.memory is None:
        return usual, 1.0
    allowed, given = bytes_in(settings.memory), {g.variable: g for g in inputs}

    def taking(way: Taking | None) -> Chosen:
        made = in_blocks(program, inputs, way, sizes, late)
        shapes = {g.variable: g.shape for g in inputs}
        return Chosen(
            way, live_bytes(made, given, sizes), count_arrays(made, shapes, sizes).total
        )

    steps = max(size(length, sizes) for length in lengths_of(program))
    tried: list[Chosen] = []
    for way in (usual, *_ways(steps)):
        tried.append(taking(way))
        if tried[-1].bytes <= allowed:
            return way, tried[-1].operations / tried[0].operations
    least = min(c.bytes for c in tried)
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
