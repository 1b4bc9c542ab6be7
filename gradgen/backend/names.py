"""Python names for the variables of a program: the user's own wherever the source gives one."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable, Mapping

from gradgen.ir.code import Var
from gradgen.ir.program import PRIMAL, Program
from gradgen.ir.trace import Input

_RESERVED = frozenset({*keyword.kwlist, *keyword.softkwlist, *dir(builtins), "jax", "jnp", "lax"})


def name_inputs(inputs: Iterable[Input], reserved: Iterable[str] = ()) -> dict[Var, str]:
    """A short name for each leaf: `v` for `state.v` where that is unambiguous, else `state_v`."""
    inputs = tuple(inputs)
    short = {i.variable: i.path.rpartition(".")[2] for i in inputs}
    taken = set(reserved)
    names: dict[Var, str] = {}
    for i in inputs:
        name = short[i.variable]
        if name.isdigit() or list(short.values()).count(name) > 1:
            name = i.path
        names[i.variable] = unique(identifier(name), taken)
    return names


def name_variables(program: Program, inputs: Mapping[Var, str]) -> dict[Var, str]:
    """A name for every variable: inputs as given, hints where there are any, else numbers."""
    names = dict(inputs)
    taken = set(names.values())
    hints = dict(program.hints)
    for section in program.sections:
        prefix = "x" if section.title == PRIMAL else "p" if "partial" in section.title else "t"
        for instruction in section.instructions:
            hint = hints.get(instruction.target)
            if hint is not None:
                names[instruction.target] = unique(identifier(hint), taken)
            else:
                names[instruction.target] = _numbered(prefix, taken)
    return names


def identifier(text: str) -> str:
    """A Python identifier that resembles the text."""
    name = re.sub(r"\W+", "_", text).strip("_") or "x"
    return f"x{name}" if name[0].isdigit() else name


def unique(name: str, taken: set[str]) -> str:
    """The name, with a number where it is taken; it is taken from now on."""
    if name in _RESERVED:
        name += "_"
    candidate, number = name, 1
    while candidate in taken:
        candidate = f"{name}_{number}"
        number += 1
    taken.add(candidate)
    return candidate


def _numbered(prefix: str, taken: set[str]) -> str:
    number = 0
    while f"{prefix}{number}" in taken:
        number += 1
    taken.add(f"{prefix}{number}")
    return f"{prefix}{number}"
