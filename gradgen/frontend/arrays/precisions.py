"""Two traces of a function on arrays, in float32 and in float64, become one for every precision."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np

from gradgen.frontend.tracing.merge import machine_field
from gradgen.ir.array_trace import ArrayTrace, Operator, read_by
from gradgen.ir.code import Const, Instruction, is_float, live_code
from gradgen.ir.loops import LOOP, loop_instruction, loop_of
from gradgen.ir.operations import OPERATIONS


class DTypeDependenceError(Exception):
    """Two precisions give code that differs; the message says in what."""


def for_all_precisions(single: ArrayTrace, double: ArrayTrace) -> tuple[ArrayTrace, frozenset[str]]:
    """The trace for every precision, and which machine constants it reads off the dtype.

    Raises DTypeDependenceError where precisions differ in more than that and in how numbers are
    rounded.
    """
    comparison = _Comparison()
    comparison.require_same(_comparable(single), _comparable(double))
    names = {value: f"machine_{field}" for value, field in comparison.machine.items()}
    code = tuple(
        Instruction(name, "machine", (), (("field", comparison.machine[value]), ("shape", ())))
        for value, name in names.items()
    )
    return _beginning(_replaced(double, names), code), frozenset(comparison.machine.values())


def names_float32(double: ArrayTrace) -> bool:
    """Whether a trace in float64 has floats of float32, which its source then asks for by name."""
    return any(i.dtype == "float32" for i in _all_code(double, {}, itertools.count()))


def _beginning(trace: ArrayTrace, code: tuple[Instruction, ...]) -> ArrayTrace:
    """The trace with some code in front, and in front of what a step of each loop computes, which
    reads nothing but what it is given; as far as that is read."""
    primal = (*code, *(_begun(instruction, code) for instruction in trace.primal))
    needed = [o.atom for o in trace.outputs] + read_by(trace.partials, trace.elementals)
    loops = tuple((loop, _beginning(step, code)) for loop, step in trace.loops)
    return replace(trace, primal=live_code(primal, needed), loops=loops)


def _begun(instruction: Instruction, code: tuple[Instruction, ...]) -> Instruction:
    """A loop with some code in front of its own, as far as that is read; all else as it is."""
    if instruction.op != LOOP:
        return instruction
    loop = loop_of(instruction)
    inner = (*code, *(_begun(each, code) for each in loop.code))
    loop = replace(loop, code=live_code(inner, loop.results))
    begun = loop_instruction(loop, instruction.operands, instruction.target)
    return replace(begun, line=instruction.line)


def _comparable(trace: ArrayTrace) -> ArrayTrace:
    """The trace with its variables numbered anew, without what makes integers wider or narrower.

    Those are written where there are 64-bit types alone, and do nothing where there are none.
    """
    names: dict[Any, Any] = {}
    number = itertools.count()
    for instruction in _all_code(trace, names, number):
        if _resizes(instruction):
            (operand,) = instruction.operands
            names[instruction.target] = _replaced(operand, names)
        else:
            names[instruction.target] = f"%{next(number)}"
    renamed: ArrayTrace = _replaced(trace, names, _resizes)
    return _without_labels(renamed)


def _without_labels(trace: ArrayTrace) -> ArrayTrace:
    loops = tuple((loop, _without_labels(step)) for loop, step in trace.loops)
    return replace(trace, labels=(), loops=loops)


def _all_code(
    trace: ArrayTrace, names: dict[Any, Any], number: Iterator[int]
) -> Iterator[Instruction]:
    """The primal, the partials and the operators, of loops too; what is no instruction is named."""
    yield from _in_loops(trace.primal, names, number)
    yield from trace.partials
    for _, step in trace.loops:
        yield from _all_code(step, names, number)
    for elemental in trace.elementals:
        for part in elemental.parts:
            if isinstance(part, Operator):
                for applied in filter(None, (part.transposed, part.pushed)):
                    names[applied.argument] = f"%{next(number)}"
                    yield from applied.code


def _in_loops(
    code: Sequence[Instruction], names: dict[Any, Any], number: Iterator[int]
) -> Iterator[Instruction]:
    for instruction in code:
        if instruction.op == LOOP:
            loop = loop_of(instruction)
            names |= {g.variable: f"%{next(number)}" for g in loop.given}
            yield from _in_loops(loop.code, names, number)
        yield instruction


def _resizes(value: Any) -> bool:
    """Whether it is an instruction that converts between integers of 32 and 64 bits."""
    return (
        isinstance(value, Instruction)
        and value.op == "convert"
        and value.dtype in ("int", "int32")
        and value.attribute("from") == "int"
    )


def _replaced(
    value: Any, names: Mapping[Any, Any], left_out: Callable[[Any], bool] = lambda value: False
) -> Any:
    """Anything with some strings or numbers in it replaced, and some members of tuples left out."""
    if isinstance(value, str | Const):
        return names.get(value, value)
    if isinstance(value, tuple):
        return tuple(_replaced(v, names, left_out) for v in value if not left_out(v))
    if is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: _replaced(getattr(value, f.name), names, left_out) for f in fields(value)}
        return replace(value, **parts)
    return value


class _Comparison:
    """Compares two traces, and finds numbers that are machine constants of their precisions."""

    def __init__(self) -> None:
        self.machine: dict[Const, str] = {}
        """Of the trace in float64, and what they are."""
        self._same: set[Const] = set()

    def require_same(self, single: Any, double: Any) -> None:
        """Raise DTypeDependenceError where there is another difference."""
        self._compare(single, double)
        if both := self._same.intersection(self.machine):
            # the same number is a machine constant in one place, and itself in another
            raise DTypeDependenceError(f"another number ({min(c.value for c in both):.9g})")

    def _compare(self, single: Any, double: Any, *, derived: bool = False) -> None:
        """What is `derived` follows from what the function says itself, which is the same in both:
        numbers in it may have been computed of rounded ones."""
        if isinstance(single, Const) and isinstance(double, Const):
            self._compare_numbers(single, double, derived=derived)
        elif type(single) is not type(double):
            raise DTypeDependenceError("other operations")
        elif is_dataclass(single):
            if isinstance(single, Instruction):
                derived = derived and not _decides(single)
            for f in fields(single):
                one, two = getattr(single, f.name), getattr(double, f.name)
                if f.name == "dtype":
                    _require_same_dtype(one, two)
                else:
                    within = derived or f.name in ("partials", "elementals")
                    self._compare(one, two, derived=within)
        elif isinstance(single, tuple):
            if len(single) != len(double):
                raise DTypeDependenceError("other operations")
            for one, two in zip(single, double, strict=True):
                self._compare(one, two, derived=derived)
        elif single != double:
            raise DTypeDependenceError("other operations")

    def _compare_numbers(self, single: Const, double: Const, *, derived: bool) -> None:
        a, b = single.value, double.value
        with np.errstate(over="ignore"):
            one, two = (np.float32(x) if is_float(double.dtype) else x for x in (a, b))
        if np.array_equal(one, two, equal_nan=True) and np.isfinite(a) == np.isfinite(b):
            self._same.add(double)
        elif is_float(double.dtype) and (field := machine_field(a, b)) is not None:
            self.machine[double] = field
        elif derived and is_float(double.dtype) and abs(a - b) <= _ROUNDED * abs(b):
            return
        else:
            raise DTypeDependenceError(f"another number ({a:.9g} and not {b:.9g})")


_ROUNDED = 1e-3
"""Relatively so far apart numbers of derivatives may be: 1 / 1.1 of a rounded 1.1, or 1.001 - 1.
Machine constants are far more apart."""


def _decides(instruction: Instruction) -> bool:
    """Whether it is a comparison, for which numbers beside machine constants are not the same."""
    return OPERATIONS[instruction.op].kind == "compare" or instruction.op in ("max", "min", "clamp")


def _require_same_dtype(single: str, double: str) -> None:
    """A dtype that is fixed may look like the usual one in one of the precisions."""
    if (single, double) in (("float", "float32"), ("uint", "uint32")):
        return
    alike = ({"int", "int32", "int64"}, {"float", "weak"})
    if single != double and not any({single, double} <= group for group in alike):
        raise DTypeDependenceError(f"another dtype ({single} and not {double})")
