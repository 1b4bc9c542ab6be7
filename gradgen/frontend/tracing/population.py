"""Whether a step function does the same for each neuron of a population as for one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import numpy as np

from gradgen.errors import GradgenError, error_in
from gradgen.frontend.tracing import jax_compat
from gradgen.frontend.tracing.load import importable_beside
from gradgen.frontend.tracing.recording import record
from gradgen.frontend.tracing.signature import Signature
from gradgen.frontend.tracing.tape import Tape
from gradgen.ir.code import Atom, Const, Var
from gradgen.ir.identity import stable_names
from gradgen.ir.source import Source

_NEURONS = 3

_AxesOf = Callable[[Sequence[Sequence[int]]], list[set[int]] | None]
"""For groups of inputs, which of their axes each output has: `_axes` of one function."""


def spans_neurons(
    source: Source, function: Callable[..., Any], signature: Signature, working: str
) -> tuple[bool, ...] | None:
    """Make sure the function does the same for each of several neurons as for one.

    It is traced once more on an axis of neurons, in the precision `working`. Returns for each
    output leaf whether it has that axis, or None where the function does not run on arrays at all,
    so that it can only be vmapped.
    Raises GradgenError, naming the primitive, where neurons are mixed.
    """
    paths = {f"x{i}": leaf.path for i, leaf in enumerate(signature.leaves)}
    population = {f"{name}.{k}": path for name, path in paths.items() for k in range(_NEURONS)}
    tape = Tape()
    owners = {name: int(name.rpartition(".")[2]) for name in population}
    try:
        many = record(
            source, function, signature, working, (_NEURONS,), tape, owners, with_rules=False
        )
    except GradgenError as error:
        met = ("cannot be traced", "branches in Python", "indexes in Python")
        if any(words in error.message for words in met):
            return None
        raise
    one = record(source, function, signature, working, with_rules=False)
    alone = stable_names(one.tape.primal, paths, calls_count=False)
    among = stable_names(tape.primal, population, calls_count=False)
    spans = []
    for number, (single, several) in enumerate(zip(one.outputs, many.outputs, strict=True)):
        expected = _name(single[()], alone)
        for index in np.ndindex(several.shape):
            if _name(several[index], among) != expected:
                raise _differs(source, number)
        spans.append(several.shape != ())
    return tuple(spans)


def inputs_that_shape(
    source: Source, function: Callable[..., Any], signature: Signature, working: str
) -> list[set[int]]:
    """For each output leaf, the numbers of the input leaves whose axes the source gives it.

    They need not be those that it is computed from: `jnp.ones_like(v) * tau`. Where the source does
    not run on inputs of any shapes that broadcast, each is an array while the others are scalars,
    or, where the source stacks it with others, say, together with the fewest of them. An input is
    missing where the source takes no array in its place at all.
    """
    everything = range(len(signature.leaves))
    axes_of = partial(_axes, source, function, signature, working)
    found = axes_of([[k] for k in everything])
    if found is not None:
        return found
    alone = {k: axes_of([[k]]) for k in everything}
    shaping = [outputs for outputs in alone.values() if outputs is not None]
    for k in everything:
        if alone[k] is None:
            # what it shapes has axes whatever others are arrays with it
            found_with = [
                _shaped_together(axes_of, k, others, alone)
                for others in (everything, everything[::-1])
            ]
            shaping.append([set.intersection(*each) for each in zip(*found_with, strict=True)])
    return [set().union(*each) for each in zip(*filter(None, shaping), strict=True)]


def _shaped_together(
    axes_of: _AxesOf,
    leaf: int,
    others: Sequence[int],
    alone: Mapping[int, list[set[int]] | None],
) -> list[set[int]]:
    """For each output whether this input gives it axes, together with the fewest that it needs."""
    group, together = _least_group(axes_of, leaf, others)
    # what another one of the group shapes by itself needs no second reason
    known = [outputs for j in group if (outputs := alone[j]) is not None]
    return [
        {leaf} if axes and not any(outputs[number] for outputs in known) else set()
        for number, axes in enumerate(together)
    ]


def _least_group(
    axes_of: _AxesOf, leaf: int, others: Sequence[int]
) -> tuple[list[int], list[set[int]]]:
    """The fewest inputs that have to be arrays where this one is, and each output's axes then.

    Those that are not needed go in the order of `others`. No group and no axes where not even all
    of them do.
    """
    group = list(others)
    axes = axes_of([group])
    if axes is None:
        return [], []
    for other in [k for k in others if k != leaf]:
        fewer = [k for k in group if k != other]
        without = axes_of([fewer])
        if without is not None:
            group, axes = fewer, without
    return group, axes


def _axes(
    source: Source,
    function: Callable[..., Any],
    signature: Signature,
    working: str,
    groups: Sequence[Sequence[int]],
) -> list[set[int]] | None:
    """For each output leaf, which of these inputs' axes it has, each group having one of its own.

    None where the source does not run on such arrays.
    """
    count = len(groups)
    shapes = {
        k: (1,) * n + (_NEURONS,) + (1,) * (count - n - 1)
        for n, group in enumerate(groups)
        for k in group
    }
    avals = signature.avals(working, shapes)
    with jax_compat.x64(working == "float64"), importable_beside(source.path):
        try:
            found = jax.eval_shape(lambda *leaves: signature.call(function, leaves), *avals)
        except Exception:
            return None
    return [
        {
            k
            for n, size in enumerate(leaf.shape)
            if size == _NEURONS
            for k in groups[n + count - len(leaf.shape)]
        }
        for leaf in jax.tree.leaves(found)
    ]


def _name(atom: Atom, names: dict[Var, str]) -> str:
    return repr(atom.value) if isinstance(atom, Const) else names[atom]


def _differs(source: Source, number: int) -> GradgenError:
    return error_in(
        source,
        f"output {number} of '{source.function}' is not the same function of one neuron and of "
        "each neuron of a population",
        hint="it depends on how many neurons there are, or on a neuron's number; if the source is "
        "meant for one neuron and is vmapped by its callers, say so with --per-neuron",
    )
