"""Arrays of neurons, and parameters that are shared among them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from gradgen.verify.floats import Array, widest
from gradgen.verify.subject import Subject, result_leaves

Shape = tuple[int, ...]

ALIKE = "shape (2, 3)"
SHARED = "shape (2, 3), shared parameters"
MIXED = "shapes (2, 3), (3,) and ()"
"""Titles of the populations that functions are called on."""


@dataclass(frozen=True)
class Population:
    """One call with arguments of several shapes, and vectors for its products."""

    title: str
    shape: Shape
    """Of all arguments broadcast together."""
    leaves: tuple[Array, ...]
    rows: Array
    """Where its neurons are among the points, in the order of the broadcast shape."""
    result: Any = None
    """The shapes of the source's result, in its pytree, if that was asked for."""
    mixing: bool = False
    """Whether the source has operations on it that can mix neurons."""


def populations(
    subject: Subject, leaves: Sequence[Array], titles: Sequence[str], rng: np.random.Generator
) -> Iterator[Population]:
    """Calls on arrays of neurons, and with parameters broadcast against them.

    `leaves` are the random points that neurons are taken from, one a row. A population that the
    source cannot be called on is left out.
    """
    count = len(subject.paths)
    arguments = {a.name: a for a in subject.module.trace.arguments}
    shared = [arguments[path.split(".")[0]].is_parameter for path in subject.paths]
    if not any(shared) or all(shared):
        shared = list(rng.permutation(np.arange(count) % 2 == 1)) if count > 1 else [False]
    mixed: list[Shape] = [((2, 3), (3,), ())[k % 3] for k in rng.permutation(count)]
    if count > 1 and (2, 3) not in mixed:
        mixed[0] = (2, 3)
    shapes: dict[str, list[Shape]] = {
        ALIKE: [(2, 3)] * count,
        SHARED: [() if s else (2, 3) for s in shared],
        MIXED: mixed,
    }
    for title in titles:
        found = _called(subject, _population(title, shapes[title], leaves, rng))
        if found is not None:
            yield found


def _called(subject: Subject, population: Population) -> Population | None:
    """With what the source makes of it, abstractly; None if it does not take these shapes."""
    try:
        jaxpr, result = jax.make_jaxpr(lambda *leaves: subject.source(leaves), return_shape=True)(
            *population.leaves
        )
    except Exception:
        return None
    return replace(population, result=result, mixing=_MIXING.search(str(jaxpr)) is not None)


_MIXING = re.compile(r"\b(?:reduce_\w+|dot_general|cum\w+|arg\w+|sort)\[")
"""How operations that can mix neurons look in a jaxpr."""


def couples_neurons(subject: Subject, population: Population) -> bool:
    """Whether the source, called on this population, does not treat each neuron by itself.

    A product of matrices mixes the neurons of an array; a derivative that the source itself takes
    by a shared argument is summed over them. Most sources have no operation that could.
    """

    def direct(*leaves: Any) -> list[Array]:
        return result_leaves(subject.source(leaves))

    if not population.mixing:
        return False
    each = direct
    for _ in population.shape:
        each = jax.vmap(each)
    alike = [np.broadcast_to(leaf, population.shape) for leaf in population.leaves]
    found = jax.jit(direct)(*population.leaves)
    return not all(map(_close, found, jax.jit(each)(*alike)))


def _close(found: Any, due: Any) -> bool:
    """Whether what is found is what is due, but for rounding."""
    due = widest(due)
    try:
        found = np.broadcast_to(widest(found), due.shape)
    except ValueError:
        return False
    finite = np.abs(due[np.isfinite(due)])
    tolerance = 1e-2 * float(finite.max(initial=0.0))
    return bool(np.allclose(found, due, rtol=0.0, atol=tolerance, equal_nan=True))


def _population(
    title: str, shapes: Sequence[Shape], leaves: Sequence[Array], rng: np.random.Generator
) -> Population:
    shape = np.broadcast_shapes(*shapes)
    number = int(np.prod(shape, dtype=int))
    rows = rng.choice(len(leaves[0]), number, replace=False)
    values = [
        leaf[rows[: int(np.prod(s, dtype=int))]].reshape(s)
        for leaf, s in zip(leaves, shapes, strict=True)
    ]
    return Population(title, shape, tuple(values), np.arange(number))


def as_points(population: Population, leaves: Sequence[Array]) -> list[Array]:
    """Its neurons one a row, filled up with other points."""
    columns = [leaf.copy() for leaf in leaves]
    for column, leaf in zip(columns, population.leaves, strict=True):
        column[population.rows] = np.broadcast_to(leaf, population.shape).reshape(-1)
    return columns


@dataclass(frozen=True)
class Vectors:
    """Cotangents of the float outputs and tangents of the differentiated inputs."""

    cotangents: tuple[Array, ...]
    tangents: tuple[Array, ...]


def vectors(
    subject: Subject, leaves: Sequence[Array], result: Sequence[Any], rng: np.random.Generator
) -> Vectors:
    """Random vectors, none of them near zero, for outputs and inputs of these shapes."""
    return Vectors(
        tuple(_random(result[k], rng) for k in subject.floats),
        tuple(_random(leaves[k], rng) for k in subject.wrt),
    )


def _random(like: Any, rng: np.random.Generator) -> Array:
    size = rng.uniform(0.5, 2.0, like.shape) * rng.choice([-1.0, 1.0], like.shape)
    return np.asarray(size).astype(like.dtype)


def pulled_by_source(
    subject: Subject, leaves: Sequence[Any], cotangents: Sequence[Any]
) -> list[Any]:
    """The cotangents of the source's inputs, the source called directly."""

    def of_floats(*chosen: Any) -> list[Any]:
        outputs = result_leaves(subject.source(subject.with_differentiated(leaves, chosen)))
        return [outputs[k] for k in subject.floats]

    _, pull = jax.vjp(of_floats, *(leaves[k] for k in subject.wrt))
    return list(pull(list(cotangents)))
