"""States that are packed in one array, in the operations of a source."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import Var
from gradgen.verify.array_operations import Code, Slot
from gradgen.verify.subject import ArraySubject

_PACKING = frozenset(
    ("broadcast_in_dim", "concatenate", "reshape", "squeeze", "stack", "transpose")
)
"""What puts an array together of parts."""


_UNPACKING = frozenset(("slice", "split", "unstack"))
"""What takes one apart, beside that."""


def put_together(code: Code, slot: Slot) -> Iterator[Slot]:
    """The variables that an array is put together of."""
    for operation in code.operations:
        if slot in operation.results and operation.equation.primitive.name in _PACKING:
            for operand in operation.operands:
                yield operand
                yield from put_together(code, operand)


def packing(subject: ArraySubject, code: Code, states: Mapping[Slot, Any]) -> set[int]:
    """The operations that do nothing but take packed states apart and put them together."""
    trace, traces = subject.module.trace, subject.module.traces
    assert traces is not None
    parts = {*traces.eligibility.carried, *traces.eligibility.derived}
    wholes = {packed_in(trace, part) for part in parts} - parts
    given = {code.inputs[k] for k, i in enumerate(trace.inputs) if i.variable in wholes}
    made = {slot for one in given for slot in (states[one], *put_together(code, states[one]))}
    found = set()
    for k, operation in enumerate(code.operations):
        name = operation.equation.primitive.name
        if name in _PACKING | _UNPACKING and given.issuperset(operation.operands):
            given |= {*operation.results}
            found.add(k)
        elif name in _PACKING and made.issuperset(operation.results):
            found.add(k)
    return found


def packed_in(trace: ArrayTrace, state: Var) -> Var:
    """The input that a state is, or is a part of."""
    code = {i.target: i for i in trace.primal}
    while state in code:
        (state,) = code[state].variables
    return state
