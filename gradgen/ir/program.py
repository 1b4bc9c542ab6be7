"""A complete straight-line program in sections, ready to be printed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gradgen.ir.code import Atom, Instruction, Var, check_code, shown_atom
from gradgen.ir.loops import pretty
from gradgen.ir.operations import (
    KINDS,
    OPERATIONS,
    OperationKind,
    integer_pow_multiplications,
)
from gradgen.ir.results import Result

PRIMAL = "primal"
PARTIALS = "elemental partials"
ACCUMULATION = "accumulation"


@dataclass(frozen=True)
class Section:
    """A titled run of instructions."""

    title: str
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True)
class Program:
    """Inputs, sections, and results by what they are."""

    inputs: tuple[Var, ...]
    sections: tuple[Section, ...]
    results: tuple[tuple[Result, Atom], ...]
    hints: tuple[tuple[Var, str], ...] = ()
    """What people would call a variable."""

    @property
    def instructions(self) -> tuple[Instruction, ...]:
        """All instructions in order."""
        return tuple(i for section in self.sections for i in section.instructions)

    def check(self) -> None:
        """Raise ValueError unless the code is in single assignment form and complete."""
        known = check_code(self.instructions, self.inputs)
        for key, atom in self.results:
            if isinstance(atom, str) and atom not in known:
                raise ValueError(f"result {key}: {atom} is not defined")

    def pretty(self) -> str:
        """Every section with its instructions."""
        lines = [f"inputs: {', '.join(self.inputs)}"]
        for section in self.sections:
            lines.append(f"# {section.title}")
            lines += [f"  {line}" for line in pretty(section.instructions)]
        for key, atom in self.results:
            lines.append(f"{key} = {shown_atom(atom)}")
        return "\n".join(lines)


FREE = ("neg", "compare", "select")
"""The kinds of operations that no total has."""


@dataclass(frozen=True)
class Operations:
    """How many operations a program has, by kind; `total` is what a budget is about."""

    counts: tuple[tuple[OperationKind, int], ...]

    @property
    def total(self) -> int:
        """Multiplications, divisions, additions, subtractions, functions; see `operations`."""
        return sum(n for kind, n in self.counts if kind not in FREE)

    def __str__(self) -> str:
        """`13 operations`."""
        return "1 operation" if self.total == 1 else f"{self.total} operations"

    def as_dict(self) -> dict[str, int]:
        """By kind, with the total."""
        return {**{k: n for k, n in self.counts if n}, "total": self.total}


def count_operations(instructions: Iterable[Instruction]) -> Operations:
    """Count scalar operations by kind, by the rule of `gradgen.ir.operations`."""
    counts: dict[OperationKind, int] = dict.fromkeys(KINDS, 0)
    for instruction in instructions:
        if instruction.op == "logistic":
            counts["transcendental"] += 1
            counts["add"] += 1
            counts["div"] += 1
        elif instruction.op in ("square", "integer_pow"):
            exponent = 2 if instruction.op == "square" else int(instruction.attribute("y"))
            counts["mul"] += integer_pow_multiplications(exponent)
            counts["div"] += exponent < 0
        elif instruction.op == "clamp":
            counts["other"] += 2
        elif OPERATIONS[instruction.op].kind not in ("free", "array"):
            counts[OPERATIONS[instruction.op].kind] += 1
    return Operations(tuple((kind, counts[kind]) for kind in KINDS))
