"""The partials of every operation between a differentiated input and a float output."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from gradgen.errors import GradgenError
from gradgen.frontend.tracing.partials import NoPartialError, emit_partial
from gradgen.frontend.tracing.tape import Guard, Tape
from gradgen.ir.algebra import mask_values
from gradgen.ir.builder import Builder
from gradgen.ir.code import (
    Atom,
    Const,
    DType,
    Instruction,
    Var,
    is_float,
    is_zero,
    live_code,
    substitute,
)
from gradgen.ir.source import Source
from gradgen.ir.trace import Elemental, Input, Output


def differentiate(
    source: Source,
    tape: Tape,
    inputs: Sequence[Input],
    primal: tuple[Instruction, ...],
    outputs: Sequence[Output],
    values: dict[Var, Atom],
) -> tuple[tuple[Instruction, ...], tuple[Elemental, ...]]:
    """The partials of every operation between a differentiated input and a float output."""
    builder = Builder("p", primal)
    custom: dict[Var, Elemental] = {}
    spliced = dict(values)
    rule_code = {i.target: i for i in tape.partials}
    for call in tape.custom:
        target = values.get(call.target, call.target)
        if isinstance(target, str):
            custom[target] = call
    active = {i.variable for i in inputs if i.wrt}
    dtypes = {i.variable: i.dtype for i in inputs}
    elementals: list[Elemental] = []
    guards = _guards(tape, values)
    on_path = _reaching(primal, custom, values, outputs)
    done: set[Var] = set()

    def splice(root: Atom) -> Atom:
        if isinstance(root, Const):
            return root
        code = live_code((i for i in rule_code.values()), [root])
        for instruction in code:
            if instruction.target not in done:
                done.add(instruction.target)
                moved = substitute(instruction, spliced)
                spliced[instruction.target] = _rule_instruction(builder, moved)
        return spliced.get(root, root)

    for instruction in primal:
        target = instruction.target
        if target not in on_path or not is_float(instruction.dtype):
            continue
        found: list[tuple[Var, Atom]] = []
        if target in custom:
            operation = custom[target].operation
            for operand, partial in custom[target].partials:
                variable = values.get(operand, operand)
                if isinstance(variable, str) and variable in active:
                    found.append((variable, splice(partial)))
        else:
            operation = instruction.op
            for slot, operand_atom in enumerate(instruction.operands):
                if isinstance(operand_atom, str) and operand_atom in active:
                    partial = _partial(source, tape, builder, instruction, slot, dtypes)
                    found.append((operand_atom, partial))
        guard = guards.get(target, ())
        guarded = [(variable, only_if(builder, guard, atom)) for variable, atom in found]
        nonzero = tuple((variable, atom) for variable, atom in guarded if not is_zero(atom))
        if nonzero:
            active.add(target)
            elementals.append(Elemental(target, operation, nonzero))
    roots = [atom for e in elementals for _, atom in e.partials]
    return live_code(builder.instructions, roots), tuple(elementals)


def _guards(tape: Tape, values: Mapping[Var, Atom]) -> dict[Var, Guard]:
    """When the source computes a variable, by its name after common subexpressions were merged."""
    found: dict[Var, Guard] = {}
    for instruction in tape.primal:
        variable = values.get(instruction.target, instruction.target)
        guard = tape.guards.get(instruction.target, ())
        moved = tuple((values.get(c, c) if isinstance(c, str) else c, taken) for c, taken in guard)
        if isinstance(variable, str):
            # what several branches compute has no one condition
            found[variable] = moved if found.get(variable, moved) == moved else ()
    return found


def only_if(builder: Builder, guard: Guard, partial: Atom) -> Atom:
    """The partial, and zero where its branch is not taken.

    There it may be infinite or nan, which no later product with the branch's mask would undo.
    """
    if isinstance(partial, Const) and math.isfinite(partial.value):
        return partial
    if mask_values(builder, partial) is not None:
        return partial
    for condition, taken in reversed(guard):
        cases = (partial, Const(0.0)) if taken else (Const(0.0), partial)
        partial = builder.emit("select", condition, *cases)
    return partial


def _rule_instruction(builder: Builder, instruction: Instruction) -> Atom:
    if instruction.op == "copy":
        return instruction.operands[0]
    among_floats = instruction.op == "convert" and instruction.dtype in ("float", "weak")
    if among_floats and instruction.attribute("from") == "float":
        return instruction.operands[0]
    return builder.emit_instruction(instruction)


def _partial(
    source: Source,
    tape: Tape,
    builder: Builder,
    instruction: Instruction,
    slot: int,
    inputs: Mapping[Var, DType],
) -> Atom:
    try:
        return emit_partial(builder, instruction, slot, inputs)
    except NoPartialError as error:
        place = tape.frames.get(instruction.target, ())
        raise GradgenError(
            str(error),
            hint="hold its operands constant with jax.lax.stop_gradient, or give it a "
            "jax.custom_jvp rule",
            path=source.path,
            line=place[-1].line if place else None,
            column=place[-1].column if place else 0,
        ) from error


def _reaching(
    primal: Sequence[Instruction],
    custom: dict[Var, Elemental],
    values: dict[Var, Atom],
    outputs: Sequence[Output],
) -> set[Var]:
    """The variables on which a float output depends."""
    reaching = {o.atom for o in outputs if isinstance(o.atom, str) and is_float(o.dtype)}
    for instruction in reversed(primal):
        if instruction.target not in reaching:
            continue
        if instruction.target in custom:
            operands = [values.get(v, v) for v, _ in custom[instruction.target].partials]
        else:
            operands = list(instruction.operands)
        reaching.update(a for a in operands if isinstance(a, str))
    return reaching
