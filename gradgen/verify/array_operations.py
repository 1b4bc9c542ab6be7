"""A source as a list of operations, to be taken one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.extend.core as jex

from gradgen.verify.subject import ArraySubject, result_leaves

CALLS = frozenset(("jit", "pjit", "closed_call", "core_call", "remat", "remat2", "checkpoint"))
"""Calls of programs, which are gone into."""
INSIDE = CALLS | {"custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"}
"""The same with functions that have rules of their own, where nothing is differentiated again."""

Leaves = Sequence[Any]
Slot = int
"""A variable by its number."""


@dataclass(frozen=True)
class SourceOperation:
    """An operation of the source, on variables and constants."""

    equation: Any
    operands: tuple[Slot, ...]
    """Those that it reads, each once."""
    variables: tuple[Any, ...]
    """What the equation calls them."""
    results: tuple[Slot, ...]

    @property
    def _ends(self) -> tuple[tuple[str, Sequence[Any]], ...]:
        return ("operand", self.variables), ("result", self.results)

    def function(self, *values: Any) -> list[Any]:
        """The operation itself."""
        names = (tuple(f"{kind}{k}" for k in range(len(those))) for kind, those in self._ends)
        info = jex.DebugInfo("operation", self.equation.primitive.name, *names)
        given, results = self.variables, self.equation.outvars
        jaxpr = jex.Jaxpr((), given, results, [self.equation], debug_info=info)
        found: list[Any] = jex.jaxpr_as_fun(jex.ClosedJaxpr(jaxpr, ()))(*values)
        return found


@dataclass(frozen=True)
class Code:
    """The source as a list of operations."""

    operations: tuple[SourceOperation, ...]
    constants: Mapping[Slot, Any]
    inputs: tuple[Slot, ...]
    outputs: tuple[Any, ...]
    """Variables, or literals."""


def called_by(equation: Any) -> tuple[Any, Sequence[Any]]:
    """The program that an equation calls, with its constants."""
    params = equation.params
    inner = params["jaxpr"] if "jaxpr" in params else params["call_jaxpr"]
    return getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())


def code_of(subject: ArraySubject, leaves: Leaves) -> Code:
    """The source at the shapes of some leaves."""
    program = jax.make_jaxpr(lambda *flat: result_leaves(subject.source(flat)))(*leaves)
    operations: list[SourceOperation] = []
    constants: dict[Slot, Any] = {}
    count = 0

    def fresh() -> Slot:
        nonlocal count
        count += 1
        return count

    def constant(value: Any) -> Slot:
        slot = fresh()
        constants[slot] = value
        return slot

    def inline(jaxpr: Any, consts: Sequence[Any], given: Sequence[Slot]) -> list[Any]:
        known: dict[Any, Slot] = dict(zip(jaxpr.invars, given, strict=True))
        known |= {v: constant(c) for v, c in zip(jaxpr.constvars, consts, strict=True)}

        def read(atom: Any) -> Slot:
            return constant(atom.val) if isinstance(atom, jex.Literal) else known[atom]

        for equation in jaxpr.eqns:
            if equation.primitive.name in CALLS:
                found = inline(*called_by(equation), [read(atom) for atom in equation.invars])
                known.update(zip(equation.outvars, found, strict=True))
                continue
            variables = tuple(
                dict.fromkeys(v for v in equation.invars if not isinstance(v, jex.Literal))
            )
            results = tuple(fresh() for _ in equation.outvars)
            operands = tuple(known[v] for v in variables)
            operations.append(SourceOperation(equation, operands, variables, results))
            known.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    inputs = tuple(fresh() for _ in program.jaxpr.invars)
    outputs = tuple(inline(program.jaxpr, program.consts, inputs))
    return Code(tuple(operations), constants, inputs, outputs)
