"""Python names for the variables of a program: the user's own wherever the source gives one."""

from __future__ import annotations

import keyword
import unicodedata
from collections.abc import Collection, Iterable, Mapping

from gradgen.ir.code import Var
from gradgen.ir.own_names import BUILTINS
from gradgen.ir.program import PRIMAL, Program
from gradgen.ir.trace import Input

_RESERVED = frozenset({*keyword.kwlist, *keyword.softkwlist, *BUILTINS, "jax", "jnp", "lax", "np"})
"""Keywords, and what a program may read that is no variable of it."""


def name_inputs(inputs: Iterable[Input], reserved: Iterable[str] = ()) -> dict[Var, str]:
    """A short name for each leaf: `v` for `state.v` where that is unambiguous, else `state_v`."""
    inputs = tuple(inputs)
    short = [i.name for i in inputs]
    taken = set(reserved)
    names: dict[Var, str] = {}
    for i in inputs:
        clear = not i.name.isdigit() and short.count(i.name) == 1
        names[i.variable] = unique(identifier(i.name if clear else i.path), taken)
    return names


def name_variables(program: Program, given: Mapping[Var, str]) -> dict[Var, str]:
    """A name for every variable: as given, hints where there are any, else numbers."""
    names = dict(given)
    taken = set(names.values())
    hints = dict(program.hints)
    for section in program.sections:
        prefix = "x" if section.title == PRIMAL else "p" if "partial" in section.title else "t"
        for instruction in section.instructions:
            if instruction.target in names:
                continue
            hint = hints.get(instruction.target)
            if hint is not None:
                name = renewed(hint, given.values())
                names[instruction.target] = unique(identifier(name), taken)
            else:
                names[instruction.target] = _numbered(prefix, taken)
    return names


def renewed(name: str, inputs: Collection[str]) -> str:
    """The name, as `v_new` where `v = v + dv` binds that of an input anew."""
    return f"{name}_new" if name in inputs else name


def identifier(text: str) -> str:
    """A Python identifier that resembles the text, in the form in which Python compares them."""
    text = unicodedata.normalize("NFKC", text)
    # digits in circles and fractions are \w to a regular expression, but no part of a name
    kept = "".join(c if f"x{c}".isidentifier() else " " for c in text)
    name = "_".join(kept.split()).strip("_") or "x"
    return name if name.isidentifier() else f"x{name}"


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
