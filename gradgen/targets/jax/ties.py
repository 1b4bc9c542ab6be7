"""The derivative of a maximum or a minimum by one of its operands: one rule, which has one name."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from gradgen.ir.code import Atom, Const, Instruction, Var

_ONE, _HALF, _ZERO = Const(1.0), Const(0.5), Const(0.0)


@dataclass(frozen=True)
class TieRule:
    """1 where one value is larger than another, half of it on a tie."""

    larger: Atom
    smaller: Atom
    parts: frozenset[Var]
    """What the rule is made of."""


def tie_rules(code: Iterable[Instruction], alone: Collection[Var]) -> dict[Var, TieRule]:
    """The rules in some code, by the variables that are these.

    Their parts are among those variables that serve nothing else.
    """
    known: dict[Atom, Instruction] = {}
    found: dict[Var, TieRule] = {}
    for instruction in code:
        known[instruction.target] = instruction
        rule = _rule_of(instruction, known)
        if rule is not None and rule.parts <= set(alone):
            found[instruction.target] = rule
    return found


def _rule_of(instruction: Instruction, known: dict[Atom, Instruction]) -> TieRule | None:
    match instruction:
        case Instruction(op="select", operands=(str(wins), one, str(rest))) if one == _ONE:
            pass
        case _:
            return None
    match known.get(wins), known.get(rest):
        case (
            Instruction(op="gt" | "lt" as comparison, operands=(x, y)),
            Instruction(op="select", operands=(str(ties), half, zero)),
        ) if (half, zero) == (_HALF, _ZERO):
            tie = known.get(ties)
        case _:
            return None
    if tie is None or tie.op != "eq" or set(tie.operands) != {x, y}:
        return None
    larger, smaller = (x, y) if comparison == "gt" else (y, x)
    return TieRule(larger, smaller, frozenset((wins, rest, ties)))
