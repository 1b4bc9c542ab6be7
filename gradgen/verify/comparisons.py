"""What the derivatives of a population should be, by the oracle's Jacobians."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any

import numpy as np

from gradgen.verify.expectation import Expectation
from gradgen.verify.floats import Array, widest
from gradgen.verify.oracle import Oracle
from gradgen.verify.populations import Population, Shape, Vectors
from gradgen.verify.rule import Expected
from gradgen.verify.subject import Subject

Pair = tuple[str, str]
"""The path of an output and that of an input."""
_Arrange = Callable[[Array], Array]
"""From all neurons to the shape of an input or an output."""


@dataclass(frozen=True)
class Comparison:
    """One derivative that was found and what it should be, of any shape."""

    function: str
    entry: str
    found: Array
    expected: Expected
    by_jax: Callable[[], Array] | None = None
    """Of a product: what JAX itself gives for it in the working dtype, on the way that it goes."""


class Due:
    """The derivatives of one population, each set beside what a function gives for it."""

    def __init__(
        self,
        subject: Subject,
        population: Population,
        given: Vectors,
        outputs: Sequence[Any],
        expectation: Expectation,
        oracle: Oracle,
    ) -> None:
        """`outputs` are the source's, in their natural shapes."""
        self._subject = subject
        self._shape = population.shape
        self._given = given
        self._neurons = expectation.at(population.rows)
        self._names = [subject.module.trace.outputs[k].path for k in subject.floats]
        self._shapes = [np.shape(outputs[k]) for k in subject.floats]
        self._paths = [subject.paths[k] for k in subject.wrt]
        self._tangents = np.array(
            [np.broadcast_to(widest(t), self._shape).reshape(-1) for t in given.tangents]
        )
        leaves = [np.broadcast_to(leaf, self._shape).reshape(-1) for leaf in population.leaves]
        self._pull_by_jax = partial(oracle.pulled, leaves)
        self._push_by_jax = partial(oracle.pushed, leaves)

    def cotangents(self, function: str, found: Sequence[Any]) -> Iterator[Comparison]:
        """Of the differentiated inputs."""
        cotangents = np.array(
            [_at_first_place(c, self._shape).reshape(-1) for c in self._given.cotangents]
        )
        pulled = self._neurons.pulled(cotangents)
        by_jax = cache(partial(self._pull_by_jax, cotangents))
        for k, value in enumerate(found):
            arrange = partial(_sum_to, shape=self._given.tangents[k].shape)
            yield Comparison(
                function,
                f"cotangent of {self._paths[k]}",
                widest(value),
                self._place(pulled, k, arrange),
                partial(self._arranged, by_jax, k, arrange),
            )

    def tangents(self, function: str, found: Sequence[Any]) -> Iterator[Comparison]:
        """Of the float outputs."""
        pushed = self._pushed(self._tangents)
        for k, value in enumerate(found):
            yield pushed(function, f"tangent of {self._names[k]}", widest(value), k)

    def jacobian(self, function: str, found: Sequence[Any]) -> Iterator[Comparison]:
        """All entries, by output and then by input."""
        pairs = [(o, i) for o in self._names for i in self._paths]
        for pair, value in zip(pairs, found, strict=True):
            yield self._entry(function, pair, widest(value))

    def entries(self, function: str, found: Mapping[Pair, Any]) -> Iterator[Comparison]:
        """Entries in their natural shapes: what does not vary over neurons may be a scalar."""
        for pair, value in found.items():
            wide, shape = widest(value), self._shapes[self._names.index(pair[0])]
            yield self._entry(
                function, pair, np.broadcast_to(wide, shape) if _fits(wide.shape, shape) else wide
            )

    def so_far(self, function: str, found: Mapping[Pair, Any]) -> Iterator[Comparison]:
        """Derivatives by all inputs up to this step, with the states' tangents as their traces."""
        for (o, i), value in found.items():
            k = self._names.index(o)
            wide = widest(value)  # of the shape of the traces, which do not vary beyond
            full = np.broadcast_to(wide, np.broadcast_shapes(wide.shape, self._shapes[k]))
            wide = _first_place(full, self._shapes[k])
            pushed = self._pushed(self._direction(i))
            yield pushed(function, f"d {o} / d {i} so far", wide, k)

    @cached_property
    def _all_entries(self) -> Expected:
        return self._neurons.entries()

    def _entry(self, function: str, pair: Pair, found: Array) -> Comparison:
        o, i = pair
        k = self._names.index(o)
        arrange = partial(_first_place, shape=self._shapes[k])
        expected = self._place(self._all_entries, (k, self._paths.index(i)), arrange)
        return Comparison(function, f"d {o} / d {i}", found, expected)

    def _pushed(self, tangents: Array) -> Callable[[str, str, Array, int], Comparison]:
        """What compares the products with these tangents, for an output by its number."""
        expected = self._neurons.pushed(tangents)
        by_jax = cache(partial(self._push_by_jax, tangents))

        def compared(function: str, entry: str, found: Array, k: int) -> Comparison:
            arrange = partial(_first_place, shape=self._shapes[k])
            due = self._place(expected, k, arrange)
            return Comparison(
                function, entry, found, due, partial(self._arranged, by_jax, k, arrange)
            )

        return compared

    def _arranged(self, by_jax: Callable[[], Array], index: int, arrange: _Arrange) -> Array:
        return arrange(by_jax()[index].reshape(self._shape))

    def _place(self, expected: Expected, index: Any, arrange: _Arrange) -> Expected:
        def of(values: Array) -> Array:
            return arrange(values[index].reshape(self._shape))

        return Expected(
            tuple(map(of, expected.modes)),
            tuple(map(of, expected.true)),
            of(expected.scale),
            of(expected.on_tie) > 0,
            of(expected.skipped) > 0,
        )

    def _direction(self, path: str) -> Array:
        """Where an input moves the step: by its factor and by the states' traces of it."""
        traces = self._subject.module.traces
        assert traces is not None
        moved = np.zeros_like(self._tangents)
        eligible = {pair for pair, _ in traces.eligible}
        for row, one in enumerate(self._paths):
            if (one, path) in eligible or (one == path and path in dict(traces.factors)):
                moved[row] = self._tangents[row]
            elif one == path:
                moved[row] = 1.0
        return moved


def _fits(small: Shape, large: Shape) -> bool:
    """Whether a shape broadcasts to another."""
    padded = (1,) * (len(large) - len(small)) + small
    return len(padded) == len(large) and all(
        a in (1, b) for a, b in zip(padded, large, strict=True)
    )


def _sum_to(values: Array, shape: Shape) -> Array:
    """Sum over the axes along which an array of this shape was broadcast."""
    missing = values.ndim - len(shape)
    with np.errstate(all="ignore"):
        values = values.sum(tuple(range(missing)))
        axes = tuple(k for k, size in enumerate(shape) if size == 1 and values.shape[k] != 1)
        return np.asarray(values.sum(axes, keepdims=True))


def _first_place(values: Array, shape: Shape) -> Array:
    """What an output of a smaller shape holds: it does not vary along the other axes."""
    values = values[(0,) * (values.ndim - len(shape))]
    return values[tuple(slice(0, size) for size in shape)]


def _at_first_place(cotangent: Array, shape: Shape) -> Array:
    """The cotangent of a smaller output, so that it counts once among all neurons."""
    full = np.zeros(shape)
    lead: list[Any] = [0] * (len(shape) - cotangent.ndim)
    full[tuple(lead + [slice(0, size) for size in cotangent.shape])] = widest(cotangent)
    return full
