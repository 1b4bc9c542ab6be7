"""Loops over time, as one instruction each: their steps are read once, whatever their number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import jax

from gradgen.frontend.arrays.dims import dim_of, shape_of
from gradgen.frontend.arrays.reading import Reading
from gradgen.frontend.tracing import jax_compat
from gradgen.frontend.tracing.jax_compat import Eqn
from gradgen.ir.code import Atom, Const, Instruction, Var
from gradgen.ir.fission import Lift, distribute
from gradgen.ir.loops import Loop, StepValue
from gradgen.ir.shapes import Dim


def read_over_time(reading: Reading, eqn: Eqn, operands: Sequence[Atom]) -> list[Atom] | None:
    """A loop as code on sequences and loops, whose variables are known to the reading; None where
    its end is found at run time."""
    if eqn.primitive.name == "while":
        return _counted(reading, eqn, operands)
    constants, carried = jax_compat.scan_counts(eqn)
    length, reverse = dim_of(eqn.params["length"]), bool(eqn.params["reverse"])
    lift = partial(_lifted, reading, eqn.params["length"])
    counts = constants, carried
    return _read(reading, eqn.params["jaxpr"], operands, counts, length, reverse, lift)


def _counted(reading: Reading, eqn: Eqn, operands: Sequence[Atom]) -> list[Atom] | None:
    """A `fori_loop` whose count is a size, which JAX makes a `while` of; None for any other.

    At sizes that are known it is a scan, and has the derivatives of one.
    """
    params = eqn.params
    conditions, constants = int(params["cond_nconsts"]), int(params["body_nconsts"])
    carry = operands[conditions + constants :]
    length = _count(reading, params["cond_jaxpr"].jaxpr, params["body_jaxpr"].jaxpr, carry)
    if length is None or conditions:
        return None
    return _read(
        reading, params["body_jaxpr"], operands, (constants, len(carry)), length, reverse=False
    )


def _count(reading: Reading, condition: Any, body: Any, carry: Sequence[Atom]) -> Dim | None:
    """How often a loop runs that counts its first carry up by one to its second, a size."""
    if len(condition.eqns) != 1 or condition.eqns[0].primitive.name != "lt":
        return None
    if list(condition.eqns[0].invars) != list(condition.invars[:2]):
        return None
    first = len(body.invars) - len(carry)
    counter, end = body.invars[first : first + 2]
    steps = [e for e in body.eqns if e.outvars[0] is body.outvars[0]]
    one = len(steps) == 1 and steps[0].primitive.name == "add"
    if not one or body.outvars[1] is not end or steps[0].invars[0] is not counter:
        return None
    by = steps[0].invars[1]
    start, size = carry[0], reading.builder.definition(carry[1])
    if not jax_compat.is_literal(by) or by.val != 1 or not isinstance(start, Const):
        return None
    if size is None or size.op != "size":
        return None
    dim = size.attribute("dim")
    return dim if start.value == 0 else f"{dim} - {start.value}"


def _read(
    reading: Reading,
    body: Any,
    operands: Sequence[Atom],
    counts: tuple[int, int],
    length: Dim,
    reverse: bool,
    lift: Lift | None = None,
) -> list[Atom]:
    constants, carried = counts
    inner = reading.inside()
    given = []
    for variable in body.jaxpr.invars:
        aval = variable.aval
        given.append(StepValue(inner.new_name(), shape_of(aval.shape), inner.dtype(aval)))
    inner.shapes |= {g.variable: g.shape for g in given}
    found = inner.run(body, [g.variable for g in given])
    results = []
    for atom, variable in zip(found, body.jaxpr.outvars, strict=True):
        shape, dtype = shape_of(variable.aval.shape), inner.dtype(variable.aval)
        if shape and (isinstance(atom, Const) or inner.shape(atom) != shape):
            atom = inner.spread(atom, shape, dtype)
        results.append(atom)
    loop = Loop(
        constants=tuple(given[:constants]),
        carry=tuple(given[constants : constants + carried]),
        sequences=tuple(given[constants + carried :]),
        code=tuple(inner.builder.instructions),
        carried=tuple(results[:carried]),
        stacked=tuple(results[carried:]),
        length=length,
        reverse=reverse,
    )

    def moved(instruction: Instruction, known: Mapping[Var, Atom]) -> Atom | None:
        return _moved(reading, instruction, known)

    def reads(instruction: Instruction) -> list[Var]:
        noted = reading.equations.get(instruction.target)
        found = (*instruction.operands, *(noted[1] if noted is not None else ()))
        return [a for a in dict.fromkeys(found) if isinstance(a, str)]

    return distribute(loop, operands, reading.emit_as_is, moved, reads, lift)


def _lifted(
    reading: Reading,
    length: Any,
    instruction: Instruction,
    operands: Sequence[Atom],
    timed: Sequence[bool],
) -> Atom:
    """A convolution for all steps at once, as JAX maps it."""
    eqn, _, number = reading.equations[instruction.target]
    function = jax.vmap(
        jax_compat.equation_function(eqn), in_axes=[0 if varies else None for varies in timed]
    )
    avals = [
        jax_compat.shaped((length, *v.aval.shape) if varies else v.aval.shape, v.aval.dtype)
        for v, varies in zip(eqn.invars, timed, strict=True)
    ]
    start = len(reading.builder.instructions)
    found = reading.run(jax.make_jaxpr(function)(*avals), operands)
    place = reading.frames.get(instruction.target, ())[-1:]
    for written in reading.builder.instructions[start:]:
        reading.frames[written.target] = place
    return found[number]


def _moved(reading: Reading, instruction: Instruction, known: Mapping[Var, Atom]) -> Atom | None:
    """What is the same in all steps, before the loop, with all that is known of it."""
    noted = reading.equations.get(instruction.target)
    operands: tuple[Atom, ...] = ()
    if noted is not None:
        operands = tuple(known.get(a, a) if isinstance(a, str) else a for a in noted[1])
        if not all(isinstance(a, Const) or a in reading.shapes for a in operands):
            return None
    old = instruction.target
    atom = reading.emit_as_is(instruction)
    if isinstance(atom, str) and atom != old:
        if noted is not None:
            reading.equations.setdefault(atom, (noted[0], operands, noted[2]))
        if old in reading.frames:
            reading.frames.setdefault(atom, reading.frames[old][-1:])
    return atom
