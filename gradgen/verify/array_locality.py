"""Gradients of learning online that leave out what couples neurons, by JAX's rules alone.

The source's operations are taken one by one. Which of them lead from one neuron to others shows in
their Jacobians, at sizes of axes that are pairwise different: there is something off the diagonal
of an axis. Tangents by what is learned go through the steps without that, and those of the outputs,
which errors meet, with all of the same step below the new state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gradgen.ir.shapes import size
from gradgen.verify.array_operations import Code, Leaves, Slot, SourceOperation, code_of
from gradgen.verify.array_packing import packing
from gradgen.verify.subject import ArraySubject

Couplings = frozenset[tuple[int, int]]
"""Operations by number, and the places of the operands from which they lead to other neurons."""


def couplings_of(
    subject: ArraySubject, leaves: Leaves, sizes: Mapping[str, int], locality: str
) -> Couplings:
    """What a locality leaves out, at these arguments and pairwise different sizes."""
    code = code_of(subject, leaves)
    shapes = subject.module.trace.shapes_by_variable.values()
    named = {size(dim, sizes) for shape in shapes for dim in shape if isinstance(dim, str)} - {1}
    numbers = {output.path: k for k, output in enumerate(subject.module.trace.outputs)}
    states = {
        code.inputs[subject.paths.index(i)]: code.outputs[numbers[o]]
        for i, o in subject.module.trace.differentiated_state
    }
    dynamic = set(states)
    places = []
    apart = packing(subject, code, states)
    for k, operation in enumerate(code.operations):
        moving = [j for j, slot in enumerate(operation.operands) if slot in dynamic]
        places += [(k, j) for j in moving if k not in apart]
        if moving:
            dynamic |= {*operation.results}

    def coupled(*leaves: Any) -> list[Any]:
        values, found = dict(code.constants) | dict(zip(code.inputs, leaves, strict=True)), []
        for k, operation in enumerate(code.operations):
            given = [values[slot] for slot in operation.operands]
            values.update(zip(operation.results, operation.function(*given), strict=True))
            for _, j in (place for place in places if place[0] == k):
                found.append(_leaves_the_diagonal(operation, given, j, named))
        return found

    found = jax.jit(coupled)(*leaves)
    couplings = {place for place, one in zip(places, found, strict=True) if one}
    if locality == "layer":
        layers = _layers(code, places, couplings, states)
        couplings = {
            (k, j)
            for k, j in couplings
            if layers[code.operations[k].operands[j]] != layers[code.operations[k].results[0]]
        }
    return frozenset(couplings)


def _leaves_the_diagonal(
    operation: SourceOperation, given: Sequence[Any], place: int, named: set[int]
) -> Any:
    """Whether the Jacobian by an operand has anything where indices of one axis differ.

    Random cotangents at one index of an axis come back at that index alone, if it has not.
    """
    found: Any = False
    operand = given[place]
    if not jnp.issubdtype(operand.dtype, jnp.floating):
        return found
    for number, result in enumerate(operation.function(*given)):
        if not jnp.issubdtype(result.dtype, jnp.floating):
            continue

        def along(x: Any, number: int = number) -> Any:
            return operation.function(*given[:place], x, *given[place + 1 :])[number]

        _, pull = jax.vjp(along, operand)
        weights = jnp.asarray(np.random.default_rng(0).normal(size=result.shape), result.dtype)
        for pair in _axes_in_common(result.shape, operand.shape, named):
            if pair is None:
                found |= jnp.any(pull(weights)[0] != 0)
                continue
            row, column = pair
            each = np.eye(result.shape[row], dtype=bool)
            (pulled,) = jax.vmap(pull)(jnp.where(_along(each, row, result.ndim), weights, 0))
            found |= jnp.any((pulled != 0) & _along(~each, column, operand.ndim))
    return found


def _axes_in_common(
    rows: tuple[int, ...], columns: tuple[int, ...], named: set[int]
) -> Iterator[tuple[int, int] | None]:
    """Axes of the same size on both sides; None for one that there is on one side alone."""
    for one in named:
        left = [k for k, n in enumerate(rows) if n == one]
        right = [k for k, n in enumerate(columns) if n == one]
        if len(left) == len(right):
            yield from zip(left, right, strict=True)
        else:
            yield None


def _along(each: np.ndarray, axis: int, rank: int) -> np.ndarray:
    """A matrix whose rows lie along the first axis and its columns along one behind it."""
    size = len(each)
    return each.reshape(size, *(size if k == axis else 1 for k in range(rank)))


def _layers(
    code: Code,
    places: Sequence[tuple[int, int]],
    couplings: set[tuple[int, int]],
    states: Mapping[Slot, Any],
) -> dict[Slot, Slot]:
    """For each variable that depends on the state, one that stands for its layer."""
    parent: dict[Slot, Slot] = {}

    def find(slot: Slot) -> Slot:
        while parent.setdefault(slot, slot) != slot:
            slot = parent[slot]
        return slot

    readers: dict[Slot, set[Slot]] = {}
    for k, j in places:
        operation = code.operations[k]
        operand, *results = operation.operands[j], *operation.results
        for result in results:
            readers.setdefault(operand, set()).add(result)
            parent[find(result)] = find(result)
            if (k, j) not in couplings:
                parent[find(operand)] = find(result)
    for state, following in states.items():
        parent[find(state)] = find(following)
    for slot in sorted(readers, reverse=True):
        own = find(slot)
        if own not in {find(s) for s in states}:
            layers = {find(r) for r in readers[slot]} - {own}
            if len(layers) == 1:
                parent[own] = layers.pop()
    return {slot: find(slot) for slot in parent}


@dataclass(frozen=True)
class Moved:
    """The tangents of a variable, a row for each element of what is learned; None if zero."""

    carried: Any
    """Without what is left out."""
    met: Any
    """With all of the same step."""


def pushed(
    code: Code,
    couplings: Couplings,
    leaves: Leaves,
    tangents: Mapping[int, Any],
    renewed: frozenset[Slot],
) -> tuple[list[Any], list[Moved]]:
    """Outputs and their tangents, from those of the leaves by place.

    Where a variable is `renewed`, what was carried is what errors meet.
    """
    values = dict(code.constants) | dict(zip(code.inputs, leaves, strict=True))
    moved = {code.inputs[k]: Moved(tangent, tangent) for k, tangent in tangents.items()}
    for k, operation in enumerate(code.operations):
        given = [values[slot] for slot in operation.operands]
        results = operation.function(*given)
        values.update(zip(operation.results, results, strict=True))
        rows = [moved.get(slot, Moved(None, None)) for slot in operation.operands]
        kept = [None if (k, j) in couplings else row.carried for j, row in enumerate(rows)]
        carried = _pushed(operation, given, results, kept)
        met = _pushed(operation, given, results, [row.met for row in rows])
        for slot, one, other in zip(operation.results, carried, met, strict=True):
            moved[slot] = Moved(one, one if slot in renewed else other)
    outputs = [values[slot] for slot in code.outputs]
    return outputs, [moved.get(slot, Moved(None, None)) for slot in code.outputs]


def _pushed(
    operation: SourceOperation, given: Sequence[Any], results: Sequence[Any], rows: Sequence[Any]
) -> list[Any]:
    active = [k for k, row in enumerate(rows) if row is not None]
    active = [k for k in active if jnp.issubdtype(given[k].dtype, jnp.floating)]
    floats = [k for k, r in enumerate(results) if jnp.issubdtype(r.dtype, jnp.floating)]
    found: list[Any] = [None] * len(results)
    if not active or not floats:
        return found

    def along(*chosen: Any) -> list[Any]:
        changed = list(given)
        for k, value in zip(active, chosen, strict=True):
            changed[k] = value
        outputs = operation.function(*changed)
        return [outputs[k] for k in floats]

    chosen = [given[k] for k in active]
    if operation.equation.primitive.name.startswith("custom_vjp"):
        # there is a rule for the backward pass alone
        jacobians = jax.jacrev(along, tuple(range(len(active))))(*chosen)
        tangents = [
            sum(
                jnp.tensordot(rows[k], entry, ([*range(1, rows[k].ndim)], _last(entry, given[k])))
                for k, entry in zip(active, row, strict=True)
            )
            for row in jacobians
        ]
    else:
        push: Any = jax.vmap(lambda *t: jax.jvp(along, chosen, list(t))[1])
        tangents = push(*(rows[k] for k in active))
    for k, tangent in zip(floats, tangents, strict=True):
        found[k] = tangent
    return found


def _last(entry: Any, operand: Any) -> list[int]:
    """The axes of a Jacobian that are those of the operand."""
    return [*range(entry.ndim - operand.ndim, entry.ndim)]
