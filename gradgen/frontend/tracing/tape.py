"""The record of one tracing in one precision, before two of them are merged into a trace."""

from __future__ import annotations

from dataclasses import dataclass, field

from gradgen.ir.code import Atom, DType, Instruction, Var
from gradgen.ir.source import Position
from gradgen.ir.trace import Elemental

Guard = tuple[tuple[Atom, bool], ...]
"""Conditions, each with the truth value that it must have."""


@dataclass
class Tape:
    """Scalar instructions in the order of execution; grows while a jaxpr is interpreted."""

    primal: list[Instruction] = field(default_factory=list)
    partials: list[Instruction] = field(default_factory=list)
    """Code of the rules that users wrote, on top of the primal's variables."""
    custom: list[Elemental] = field(default_factory=list)
    """Calls with a rule written by the user: one vertex each, whatever they compute inside."""
    calls: int = 0
    frames: dict[Var, tuple[Position, ...]] = field(default_factory=dict)
    own_rules: bool = False
    """Whether a second derivative is not that of the code: where there is a `custom_jvp`, a
    `stop_gradient`, or a `custom_vjp` whose rules call functions with rules, itself perhaps, or
    whose forward rule computes otherwise than its function."""
    rounded: frozenset[DType] = frozenset()
    """What rules convert their tangents or cotangents to, where that is a fixed dtype."""
    guards: dict[Var, Guard] = field(default_factory=dict)
    """What is computed in one branch only, and when it is taken."""
    counter: int = 0
    active: set[Var] = field(default_factory=set)
    """The floats that floats among the arguments decide, and not by conditions or integers alone:
    JAX applies the derivative rule of a call to no others."""

    def fresh(self) -> Var:
        """A new variable."""
        self.counter += 1
        return f"v{self.counter}"
