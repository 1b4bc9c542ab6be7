"""Random functions of small arrays, to train a general network on, in AlphaGrad's accounting.

They are written as fluxes and programs on vectors are: what is elementwise, also where an operand
is stretched; slices, of which each part goes its own way, and concatenations; reshapes,
transpositions and broadcasts; contractions, and sums along axes. Copies are free there.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any

import jax.numpy as jnp
from jax import lax

from benchmarks.network_tasks.tracing import traced
from gradgen.search.task import Task, patterned_task

Array = Any
_LARGEST = 32
"""Elements of a value."""


class _Program:
    """A function while it is traced: its values, and those of them that nothing has read yet."""

    def __init__(self, chance: random.Random, values: Sequence[Array]) -> None:
        self.chance = chance
        self.values, self.unread = list(values), list(values)
        self._narrow = chance.uniform(0.3, 0.9)
        self._weights = [often * chance.uniform(0.1, 1.0) for often in _OPERATIONS.values()]

    def step(self) -> None:
        """One more operation on a value, if it suits it."""
        (operation,) = self.chance.choices([*_OPERATIONS], self._weights)
        operation(self, self.chosen(self.values))

    def chosen(self, values: Sequence[Array]) -> Array:
        """One of some values: of those that nothing has read, of the last ones, or any."""
        fresh = [v for v in values if _is_among(v, self.unread)]
        if fresh and self.chance.random() < self._narrow:
            return self.chance.choice(fresh[-4:])
        return self.chance.choice(values[-12:] if self.chance.random() < 0.8 else values)

    def value(self, operation: Callable[..., Array], *operands: Array) -> Array:
        """What an operation makes of operands."""
        found = operation(*operands)
        self.unread = [v for v in self.unread if not _is_among(v, operands)]
        self.values.append(found)
        self.unread.append(found)
        return found


def _is_among(value: Array, values: Sequence[Array]) -> bool:
    return any(value is other for other in values)


def _function(program: _Program, x: Array) -> None:
    """A function of each element, or a multiple."""
    chosen = program.chance.choice((jnp.sin, jnp.sin, jnp.sin, lambda x: 0.5 * x))
    program.value(chosen, x)


def _both(program: _Program, x: Array) -> None:
    """Two values, of which the second may be stretched along some axes."""
    alike = [v for v in program.values if v is not x and _is_stretched(v.shape, x.shape)]
    if alike:
        y = program.chosen(alike)
        operation = program.chance.choice((lax.add, lax.sub, lax.mul, lax.mul, lax.div))
        program.value(operation, *((x, y) if program.chance.random() < 0.5 else (y, x)))


def _is_stretched(shape: Sequence[int], other: Sequence[int]) -> bool:
    """Whether a value meets one of another shape with its axes of one element stretched."""
    return len(shape) == len(other) and all(
        size in (1, due) for size, due in zip(shape, other, strict=True)
    )


def _parts(program: _Program, x: Array) -> None:
    """Cut along an axis: into all its elements, into two parts, or out of it one part."""
    axes = [k for k, size in enumerate(x.shape) if size > 1]
    if not axes:
        return
    axis, chance = program.chance.choice(axes), program.chance
    size = x.shape[axis]
    whole = chance.random()
    places = range(1, size) if whole < 0.4 and size < 6 else [chance.randrange(1, size)]
    pieces = list(zip((0, *places), (*places, size), strict=True))
    for first, last in [chance.choice(pieces)] if whole > 0.7 else pieces:
        cut = partial(lax.slice_in_dim, start_index=first, limit_index=last, axis=axis)
        program.value(cut, x)


def _joined(program: _Program, x: Array) -> None:
    """Concatenate a value with one to three that have its other axes."""
    if not x.shape:
        return
    axis, parts = program.chance.randrange(x.ndim), [x]
    for _ in range(program.chance.randint(1, 3)):
        fitting = [
            v
            for v in program.values
            if not _is_among(v, parts) and _without(v.shape, axis) == _without(x.shape, axis)
        ]
        if fitting:
            parts.append(program.chosen(fitting))
    if len(parts) > 1 and sum(v.size for v in parts) <= _LARGEST:
        program.value(lambda *parts: lax.concatenate(parts, axis), *parts)


def _without(shape: Sequence[int], axis: int) -> tuple[int, Sequence[int]]:
    """How many axes there are, and their sizes but for one."""
    return len(shape), (*shape[:axis], *shape[axis + 1 :])


def _reshaped(program: _Program, x: Array) -> None:
    """To a vector, a row or a column."""
    shapes = [s for s in ((x.size,), (1, x.size), (x.size, 1)) if s != x.shape]
    program.value(partial(lax.reshape, new_sizes=program.chance.choice(shapes)), x)


def _turned(program: _Program, x: Array) -> None:
    if x.ndim == 2:
        program.value(partial(lax.transpose, permutation=(1, 0)), x)


def _broadcast(program: _Program, x: Array) -> None:
    """Repeat a value along an axis that comes first, or along one of a single element."""
    size = program.chance.randint(2, 5)
    if x.ndim < 2 and size * x.size <= _LARGEST:
        shape = (size,) if x.shape == (1,) else (size, *x.shape)
        axes = tuple(range(len(shape) - x.ndim, len(shape)))
        program.value(partial(lax.broadcast_in_dim, shape=shape, broadcast_dimensions=axes), x)


def _contracted(program: _Program, x: Array) -> None:
    """A product with another value, summed over an axis of each."""
    pairs = [
        (v, i, j)
        for v in program.values[-20:]
        for i, size in enumerate(x.shape)
        for j, other in enumerate(v.shape)
        if size == other and prod(x.shape) * prod(v.shape) // size**2 <= _LARGEST
    ]
    if pairs:
        y, i, j = program.chance.choice(pairs)
        dimensions = ((i,), (j,)), ((), ())
        program.value(partial(lax.dot_general, dimension_numbers=dimensions), x, y)


def _summed(program: _Program, x: Array) -> None:
    """A sum along an axis, or the largest element there; the axis may be kept."""
    if x.shape:
        axis = program.chance.randrange(x.ndim)
        operation = program.chance.choice((jnp.sum, jnp.sum, jnp.max))
        total = program.value(partial(operation, axis=axis), x)
        if program.chance.random() < 0.4:
            shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
            program.value(partial(lax.reshape, new_sizes=shape), total)


_OPERATIONS: dict[Callable[[_Program, Array], None], float] = {
    _function: 3.0,
    _both: 6.0,
    _parts: 1.0,
    _joined: 1.5,
    _reshaped: 0.4,
    _turned: 0.2,
    _broadcast: 0.2,
    _contracted: 1.5,
    _summed: 0.6,
}
"""What a program does, and about how often: each program has its own habits."""


def _results(program: _Program, given: Sequence[Array], most: int) -> list[Array]:
    """What nothing has read; all but a few of it is added up."""
    while len(found := [v for v in program.unread if not _is_among(v, given)]) > most:
        x, y = program.chance.sample(found, 2)
        if _is_stretched(y.shape, x.shape):
            program.value(lax.mul if program.chance.random() < 0.3 else lax.add, x, y)
        elif x.size == 1:
            program.value(partial(lax.reshape, new_sizes=(1,) * y.ndim), x)
        else:
            program.value(jnp.sum, x)
    return found


def random_arrays(chance: random.Random, most: int) -> Task:
    """The task of a random function of at most about so many intermediates."""
    n, m = chance.randint(2, 5), chance.randint(2, 5)
    shapes = [(n,), (n,), (1,), (m,), (n, m), (n, n), (n, 1), ()]
    count = chance.randint(10, most)

    def function(*given: Array) -> list[Array]:
        program = _Program(chance, given)
        while len(program.values) - len(given) < count:
            program.step()
        return _results(program, given, chance.randint(1, 5))

    arguments = [jnp.ones(chance.choice(shapes)) for _ in range(chance.randint(2, 7))]
    graph = traced(function, arguments)
    names = [f"v{k}" for k in range(len(graph.shapes))]
    return patterned_task(graph.eliminations, graph.shapes, names, "random arrays")
