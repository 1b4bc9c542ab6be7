"""Names of values that survive: they say what is computed, not where it stands."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from gradgen.ir.code import Atom, Const, Instruction, Var, is_float
from gradgen.ir.loops import LOOP, Loop, loop_of
from gradgen.ir.operations import OPERATIONS


def stable_names(
    instructions: Iterable[Instruction],
    inputs: Mapping[Var, str],
    *,
    calls_count: bool = True,
) -> dict[Var, str]:
    """A hash of each variable's operation and its operands' names; inputs go by path.

    Conversions between float dtypes are passed over, `square` is `integer_pow` 2 and the operands
    of commutative operations are sorted, so that a newer JAX, or a reordered source, gives the same
    names. With `calls_count` false, calls with a derivative rule of their own are passed over too.
    Equal computations have equal names.
    """
    names = dict(inputs)

    def name_of(atom: Atom) -> str:
        return repr(atom.value) if isinstance(atom, Const) else names[atom]

    for instruction in instructions:
        operands = [name_of(atom) for atom in instruction.operands]
        if _is_transparent(instruction) or (instruction.op == "copy" and not calls_count):
            names[instruction.target] = operands[0]
            continue
        op, attributes = instruction.op, instruction.attributes
        if op == "square":
            op, attributes = "integer_pow", (("y", 2),)
        if op == "copy":
            attributes = ()
        if op == LOOP:
            attributes = (("loop", _of_steps(loop_of(instruction))),)
        if OPERATIONS[op].commutative:
            operands.sort()
        names[instruction.target] = _hash(op, operands, repr(attributes))
    return names


def _of_steps(loop: Loop) -> str:
    """A hash of what a step computes, whatever its variables are called."""
    given = {g.variable: f"{k} {g.shape} {g.dtype}" for k, g in enumerate(loop.given)}
    names = stable_names(loop.code, given)
    results = [names[a] if isinstance(a, str) else repr(a.value) for a in loop.results]
    parts = len(loop.constants), len(loop.carry), loop.length, loop.reverse
    return _hash(LOOP, results, repr(parts))


def _is_transparent(instruction: Instruction) -> bool:
    return (
        instruction.op == "convert"
        and is_float(instruction.dtype)
        and instruction.attribute("from") == "float"
    )


def _hash(op: str, operands: Iterable[str], attributes: str) -> str:
    text = "\n".join((op, *operands, attributes))
    return f"{op}-{hashlib.sha256(text.encode()).hexdigest()[:10]}"
