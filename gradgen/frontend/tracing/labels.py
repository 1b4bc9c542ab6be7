"""What the source calls the values that it computes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gradgen.frontend.tracing.tape import Tape
from gradgen.ir.code import Atom, Instruction, Var
from gradgen.ir.source import Position, Source
from gradgen.ir.trace import Label


def label_variables(
    source: Source,
    tape: Tape,
    primal: Iterable[Instruction],
    values: Mapping[Var, Atom],
) -> tuple[Label, ...]:
    """Names from the user's assignments, matched by where an equation and an expression stand.

    The name of an assignment goes to the last equation of its expression; where an expression calls
    a helper function, the call's name wins over the names inside the helper.
    """
    names = _names_by_position(source)
    found: dict[Var, str] = {}
    previous: Position | None = None
    run: Var | None = None
    for instruction in tape.primal:
        places = tape.frames.get(instruction.target, ())
        position = next((p for p in places if p in names), None)
        if position != previous and previous is not None and run is not None:
            _give(found, values, run, names[previous])
        previous, run = position, instruction.target
    if previous is not None and run is not None:
        _give(found, values, run, names[previous])
    labels = []
    for instruction in primal:
        places = tape.frames.get(instruction.target, ())
        line = places[-1].line if places else None
        labels.append(Label(instruction.target, found.get(instruction.target), line))
    return tuple(labels)


def _names_by_position(source: Source) -> dict[Position, str]:
    names: dict[Position, str] = {}
    for assignment in source.assignments:
        names.setdefault(assignment.value, assignment.name)
    return names


def _give(found: dict[Var, str], values: Mapping[Var, Atom], variable: Var, name: str) -> None:
    atom = values.get(variable, variable)
    if isinstance(atom, str):
        found.setdefault(atom, name)
