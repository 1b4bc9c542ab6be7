"""Reads what is neither elementwise nor a movement: branches, loops, and what hangs on sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jax import lax

from gradgen.frontend.arrays import moving
from gradgen.frontend.arrays.dims import dim_of, shape_of
from gradgen.frontend.arrays.expansions import slice_of
from gradgen.frontend.arrays.looping import read_over_time
from gradgen.frontend.arrays.reading import Reading, handles
from gradgen.frontend.tracing import jax_compat
from gradgen.frontend.tracing.jax_compat import Eqn
from gradgen.ir.code import Atom, Const, is_float

MOST_ITERATIONS = 8
"""Loops of a fixed number of steps are written out up to so many."""
_KERNELS = {"mosaic", "mosaic_gpu"}


@handles("empty2")
def _placeholder(reading: Reading, eqn: Eqn, operands: tuple[Atom, ...]) -> Sequence[Atom]:
    """What the gradient of a branch has in place of a value of another one: it is never read."""
    return [Const(0.0 if is_float(d := reading.dtype(v.aval)) else 0, d) for v in eqn.outvars]


@handles("cond")
def _branch(reading: Reading, eqn: Eqn, operands: tuple[Atom, ...]) -> Sequence[Atom]:
    """Every branch, and what was to be taken of them."""
    (which, *arguments), branches = operands, eqn.params["branches"]
    if isinstance(which, Const):
        return reading.run(branches[int(which.value)], arguments)
    definition = reading.builder.definition(which)
    truth = definition is not None and definition.attributes == (("from", "bool"),)
    conditions: list[Atom] = []
    for number in range(1, len(branches)):
        if truth and definition is not None:
            conditions.append(definition.operands[0])
        else:
            dtype = reading.dtype(eqn.invars[0].aval)
            conditions.append(reading.emit("eq", (which, Const(number, dtype)), (), "bool"))
    chosen: list[Atom] = []
    for number, branch in enumerate(branches):
        taken = (
            ((conditions[number - 1], True),) if number else tuple((c, False) for c in conditions)
        )
        with reading.only_if(taken):
            results = reading.run(branch, arguments)
        if number == 0:
            chosen = results
            continue
        chosen = [
            old
            if new == old
            else reading.emit(
                "select", (conditions[number - 1], new, old), (), reading.dtype(v.aval)
            )
            for new, old, v in zip(results, chosen, eqn.outvars, strict=True)
        ]
    return chosen


@handles("platform_index")
def _platform(reading: Reading, eqn: Eqn, operands: tuple[Atom, ...]) -> Sequence[Atom]:
    """Of ways that differ between platforms, the one for any: the text is for all of them.

    JAX's own functions have other ways for the languages of kernels, which no array is in.
    """
    platforms = list(eqn.params["platforms"])
    others = {name for names in platforms if names for name in names}
    if None not in platforms or not others <= _KERNELS:
        raise reading.unsupported(eqn, "code that differs between platforms is not supported")
    return [Const(platforms.index(None), "int")]


@handles("select_n")
def _select(reading: Reading, eqn: Eqn, operands: tuple[Atom, ...]) -> Sequence[Atom]:
    which, *cases = operands
    chosen, dtype = cases[0], reading.dtype(eqn.invars[0].aval)
    for number, case in enumerate(cases[1:], start=1):
        taken = which
        if dtype != "bool":
            taken = reading.emit("eq", (which, Const(number, dtype)), (), "bool")
        chosen = reading.elementwise(eqn, "select", (taken, case, chosen))
    return [chosen]


@handles("dim_as_value")
def _size(reading: Reading, eqn: Eqn, operands: tuple[Atom, ...]) -> Sequence[Atom]:
    dim = dim_of(eqn.params["dim"])
    if isinstance(dim, int):
        return [Const(dim, "int")]
    atom = reading.emit("size", (), (("dim", dim),), "weak", ())
    assert isinstance(atom, str)
    reading.sizes[atom] = eqn.params["dim"]
    return [atom]


@handles("gather")
def _gather(reading: Reading, eqn: Eqn, operands: tuple[Atom, ...]) -> Sequence[Atom]:
    """A slice, where it is known which."""
    places = reading.indices(operands[1])
    sliced = None if places is None else slice_of(eqn, places)
    if sliced is None:
        return [reading.moved(eqn, "gather", moving.gather(eqn), operands)]
    return reading.expanded(eqn, sliced, operands[:1], [eqn.invars[0].aval])


@handles("one_minus_square")
def _square_complement(reading: Reading, eqn: Eqn, operands: tuple[Atom, ...]) -> Sequence[Atom]:
    """(1 + x)(1 - x), which is how XLA computes it."""
    dtype = reading.dtype(eqn.outvars[0].aval)
    one = Const(1.0)
    factors = [reading.emit(op, (one, operands[0]), (), dtype) for op in ("add", "sub")]
    return [reading.emit("mul", factors, (), dtype)]


@handles("scan")
def _scan(reading: Reading, eqn: Eqn, operands: tuple[Atom, ...]) -> Sequence[Atom]:
    """A loop of a fixed number of steps, written out."""
    length, body = eqn.params["length"], eqn.params["jaxpr"]
    if not isinstance(length, int) or length > MOST_ITERATIONS:
        found = read_over_time(reading, eqn, operands)
        assert found is not None
        return found
    constants, carried = jax_compat.scan_counts(eqn)
    given = operands[:constants]
    carry: list[Atom] = list(operands[constants : constants + carried])
    sequences = operands[constants + carried :]
    steps = range(length)[:: -1 if eqn.params["reverse"] else 1]
    avals = [v.aval for v in eqn.invars[constants + carried :]]
    stacks: dict[int, Sequence[Atom]] = {}
    for step in steps:

        def now(*xs: Any, step: int = step) -> list[Any]:
            return [lax.index_in_dim(x, step, 0, keepdims=False) for x in xs]

        read = reading.expanded(eqn, now, sequences, avals)
        results = reading.run(body, [*given, *carry, *read])
        carry, stacks[step] = results[:carried], results[carried:]

    def stacked(*parts: Any) -> list[Any]:
        return [lax.concatenate([lax.expand_dims(x, [0]) for x in parts], 0)]

    found = list(carry)
    if not length:
        empty = [(shape_of(v.aval.shape), reading.dtype(v.aval)) for v in eqn.outvars[carried:]]
        return [*found, *(reading.spread(Const(0, dtype), shape, dtype) for shape, dtype in empty)]
    for k, variable in enumerate(body.jaxpr.outvars[carried:]):
        parts = tuple(stacks[step][k] for step in range(length))
        found += reading.expanded(eqn, stacked, parts, [variable.aval] * length)
    return found


@handles("while")
def _while(reading: Reading, eqn: Eqn, operands: tuple[Atom, ...]) -> Sequence[Atom]:
    found = read_over_time(reading, eqn, operands)
    if found is None:
        raise reading.unsupported(
            eqn,
            "a loop whose end is found at run time has no derivative in reverse mode",
            "count the steps, as in lax.fori_loop(0, 20, ...) or lax.scan, and mask those too many",
        )
    return found
