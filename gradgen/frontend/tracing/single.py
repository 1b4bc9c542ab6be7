"""A step function in float32 alone: what it computes, and whether 64-bit types change that.

Where the source names float32 in a way that fits no other precision, it is traced in that, and its
text takes floats of float32, and numbers of Python. Those are weakly typed, and of 64 bits where
there are such types: there the source may compute with them, or with numbers of its own, in
float64. So it is traced there as well, on all sorts of leaves, and has to be the same code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gradgen.frontend.tracing.merge import is_width_conversion, without_conversions
from gradgen.frontend.tracing.promotion import WEAK, WIDE, halves, matched
from gradgen.frontend.tracing.recording import Recording
from gradgen.frontend.tracing.trials import Trials
from gradgen.ir.code import (
    WORKING,
    Atom,
    Const,
    DType,
    Instruction,
    is_float,
    shortest_float32,
)

Assigned = tuple[tuple[int, DType], ...]
"""The dtypes of leaves, by number."""


def in_float32(instruction: Instruction) -> Instruction:
    """The instruction, where a conversion says by name what it converts to."""
    if instruction.op == "convert" and instruction.dtype == "float":
        return replace(instruction, dtype=WIDE)
    return instruction


def number_in_float32(atom: Atom) -> Atom:
    """A result, where a number says by name of what dtype it is."""
    if isinstance(atom, Const) and atom.dtype in WORKING:
        return Const(atom.value, WIDE)
    return atom


def assignments_in_float32(floats: Sequence[int], weak: Sequence[int]) -> list[Assigned]:
    """Which of the floats are numbers of Python, of those that may be (`weak`).

    None, all, each alone, and so that any is told from any other.
    """
    count = len(weak)
    alone = ((WEAK if k == one else WIDE for k in range(count)) for one in range(count))
    tries = ((WIDE,) * count, (WEAK,) * count, *alone, *halves(count, WIDE, WEAK))
    usual = dict.fromkeys(floats, WIDE)
    return [
        tuple((usual | dict(zip(weak, dtypes, strict=True))).items())
        for dtypes in dict.fromkeys(map(tuple, tries))
    ]


def low_precision(code: Sequence[Instruction]) -> DType | None:
    """In which dtype something is computed that is less than float32; None if nothing is."""
    dtypes = {i.dtype for i in code}
    dtypes |= {a.dtype for i in code for a in i.operands if isinstance(a, Const)}
    return min((d for d in dtypes if is_float(d) and d not in (WIDE, *WORKING)), default=None)


def roundings(code: Sequence[Instruction]) -> list[DType]:
    """The dtypes of less than float32 that floats are converted to."""
    return [i.dtype for i in code if is_width_conversion(i) and low_precision([i]) is not None]


def same_with_64_bits(
    trials: Trials, tries: Sequence[Assigned], alike: Callable[[Assigned], bool]
) -> bool:
    """Whether the source does the same in float32 where there are 64-bit types.

    `alike` says of leaves whether the text has the source's dtypes where there are none.
    """

    def same(dtypes: Assigned) -> bool:
        plain = trials.record(dict(dtypes), WIDE)
        wide = trials.record(dict(dtypes), WIDE, "float64")
        if plain is None:
            return True  # nor does the source take them
        return wide is not None and _same(plain, wide) and alike(dtypes)

    return all(map(same, tries))


def rules_stay(trials: Trials) -> bool:
    """Whether derivative rules stay in float32 where there are 64-bit types."""
    traced = trials.record({}, WIDE, "float64", with_rules=True)
    return traced is not None and not _is_wide((*traced.tape.primal, *traced.tape.partials))


def _is_wide(code: Sequence[Instruction]) -> bool:
    """Whether something is of float64, in code that was traced with it."""
    return any(i.dtype == "float" for i in code)


def _same(plain: Recording, wide: Recording) -> bool:
    """Whether two traces of float32 are the same, without 64-bit types and with them."""
    if _is_wide(wide.tape.primal):
        return False
    results = zip(plain.outputs, plain.dtypes, wide.dtypes, strict=True)
    for output, one, two in results:
        # a number that is a result is written with its dtype, which the source would have wider
        if _name(one) != two or (one == WEAK and isinstance(output[()], Const)):
            return False
    pairs = matched(plain.tape.primal, wide.tape.primal)
    origins = [without_conversions(traced.tape.primal)[1] for traced in (plain, wide)]

    def origin(number: int, atom: Atom) -> Atom:
        return origins[number].get(atom, atom) if isinstance(atom, str) else atom

    return pairs is not None and all(
        _name(one.dtype) == two.dtype
        and all(
            _same_number(origin(0, a), origin(1, b))
            for a, b in zip(one.operands, two.operands, strict=True)
        )
        for one, two in pairs
    )


def _name(dtype: DType) -> DType:
    return WIDE if dtype == "float" else dtype


def _same_number(plain: Atom, wide: Atom) -> bool:
    """Whether the number that is written is the source's where there are 64-bit types."""
    if isinstance(plain, str) or isinstance(wide, str):
        return isinstance(plain, str) and isinstance(wide, str)
    if not is_float(plain.dtype) or not is_float(wide.dtype):
        return plain.value == wide.value
    written = plain.value if wide.dtype == WIDE else float(shortest_float32(plain.value))
    return repr(written) == repr(wide.value)
