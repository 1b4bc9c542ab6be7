"""Sizes of axes and arguments of those sizes, the same for every run with the same seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import is_float
from gradgen.ir.shapes import DEFAULT_SIZE, LEADING, Dim, Shape, axes_in, own_axes, size
from gradgen.ir.trace import Input
from gradgen.verify.floats import Array
from gradgen.verify.points import Range, default_values, numpy_dtype, stated_range
from gradgen.verify.subject import ArraySubject, abstract

Sizes = dict[str, int]

KEY = "key"
"""The dtype of keys for random numbers."""
_RANDOM, _ON_TIES = 2, 6
"""How many samples have values of a normal distribution; and values out of a few numbers, so that
many are equal."""

_FEW = (-1.0, -0.5, 0.0, 0.5, 1.0, 2.0)
"""Their sums and products are exact, and meet thresholds."""
_DENSE = (1.0, 0.3)
"""What share of them is not zero, as in spikes."""
_IN_FRONT = "..."
"""What sizes call the number of axes in front, where they are stated as `...`."""
_NUMBERS_IN_FRONT = (2, 0, 1)
_LONG = 64
"""Steps of a loop beyond which one sample has to do."""
_SMALL = ((3, 1), (6, 1), (2, 2), (9, 1), (3, 4), (30, 1))
"""Where sizes begin, and how far apart they are: the first at which a source runs are taken."""


@dataclass(frozen=True)
class Sample:
    """What functions are called with once."""

    on_ties: bool
    """Whether many of its values are equal."""
    leaves: tuple[Any, ...]
    cotangents: tuple[Array, ...]
    """Of the float outputs."""
    tangents: tuple[Array, ...]
    """Of the differentiated leaves."""


def axes_of(trace: ArrayTrace) -> list[str]:
    """The names of all axes."""
    return axes_in(trace.shapes)


def recorded_sizes(trace: ArrayTrace) -> Sizes:
    """Those at which operations are counted."""
    return dict.fromkeys(axes_of(trace), DEFAULT_SIZE) | dict(trace.sizes)


def abstract_leaves(trace: ArrayTrace, sizes: Sizes, dtype: str) -> list[Any]:
    """Stand-ins for the leaves."""
    return [
        abstract(_numbers(shape, sizes), _dtype(leaf, dtype))
        for leaf, shape in zip(trace.inputs, trace.shapes, strict=True)
    ]


def _numbers(shape: Shape, sizes: Sizes) -> tuple[int, ...]:
    """A shape at some sizes, of which one may say how many axes stand in front."""
    own = tuple(size(dim, sizes) for dim in own_axes(shape))
    if LEADING not in shape:
        return own
    return (size(LEADING, sizes), 2)[: sizes.get(_IN_FRONT, 1)] + own


def _dtype(leaf: Input, dtype: str) -> Any:
    return jax.random.key(0).dtype if leaf.dtype == KEY else numpy_dtype(leaf, dtype)


def choose_sizes(subject: ArraySubject, dtype: str) -> list[Sizes]:
    """Two sets of pairwise different sizes and one of ones, as far as the source runs at them."""
    trace = subject.module.trace
    names, shapes = axes_of(trace), [*trace.shapes_by_variable.values()]
    candidates = (
        _different(names, shapes),
        _different(names[::-1], shapes, later=1),
        iter([dict.fromkeys(names, 1)]),
    )
    sets = [
        next((s for s in _with_front(trace, some, number) if runs_at(subject, s, dtype)), None)
        for some, number in zip(candidates, _NUMBERS_IN_FRONT, strict=True)
    ]
    found = [s for s in sets if s is not None] or [recorded_sizes(trace)]
    found = _with_blocks(subject, found, dtype)
    return [s for k, s in enumerate(found) if s not in found[:k]]


def _with_blocks(subject: ArraySubject, sets: list[Sizes], dtype: str) -> list[Sizes]:
    """Sizes at which loops in blocks have two and one over, one, and one short of one; where blocks
    are long, first of all far less than one; the last of several sets has a single step."""
    lengths = subject.module.lengths_in_blocks
    if not lengths:
        return sets
    first, *others = sets
    wanted = [
        first | {name: max(times * k + more, 1) for name, k in lengths.items()}
        for times, more in ((2, 1), (1, 0), (1, -1))
    ]
    if has_long_loops(subject, wanted[0]):
        wanted = [first, *wanted[:2]]
    return [s for s in wanted if runs_at(subject, s, dtype)] + others[-1:] or sets


def has_long_loops(subject: ArraySubject, sizes: Sizes) -> bool:
    """Whether blocks are so long that a sample takes minutes, one operation after the other."""
    return any(sizes[name] > _LONG for name in subject.module.lengths_in_blocks)


def _with_front(trace: ArrayTrace, sets: Iterable[Sizes], number: int) -> Iterator[Sizes]:
    """Sizes with as many axes in front, where `...` was stated."""
    stated = any(LEADING in shape for shape in trace.shapes)
    for sizes in sets:
        yield sizes | {_IN_FRONT: number} if stated else sizes


def _different(names: Sequence[str], shapes: Sequence[Shape], later: int = 0) -> Iterator[Sizes]:
    """Sizes of which no two are equal, nor equal to one that the source fixes."""
    fixed = {dim for shape in shapes for dim in shape if isinstance(dim, int)}
    for first, step in _SMALL:
        numbers = range(first, first + step * (len(names) + len(fixed) + later), step)
        free = [number for number in numbers if number not in fixed]
        yield dict(sorted(zip(names, free[later:], strict=False)))


def runs_at(subject: ArraySubject, sizes: Sizes, dtype: str) -> bool:
    """Whether the source runs at these sizes, and returns something."""
    return why_not_at(subject, sizes, dtype) is None


def why_not_at(subject: ArraySubject, sizes: Sizes, dtype: str) -> str | None:
    """What keeps the source from running at these sizes; None if nothing does."""
    try:
        leaves = abstract_leaves(subject.module.trace, sizes, dtype)
        result = jax.eval_shape(lambda *flat: subject.source(flat), *leaves)
    except Exception as error:
        return f"{type(error).__name__}: {error}".split("\n", 1)[0]
    arrays = (*leaves, *jax.tree.leaves(result))
    return None if all(np.prod(a.shape) > 0 for a in arrays) else "an array has no elements"


def draw_samples(
    subject: ArraySubject, sizes: Sizes, dtype: str, ranges: Mapping[str, Range], seed: int
) -> list[Sample]:
    """Samples of both sorts."""
    trace = subject.module.trace
    given = abstract_leaves(trace, sizes, dtype)
    outputs = jax.tree.leaves(jax.eval_shape(lambda *flat: subject.source(flat), *given))
    rng = np.random.default_rng(seed)
    smallest = min((dim for leaf in given for dim in leaf.shape), default=2)
    defaults = default_values(trace.arguments)
    samples = []
    for few in [False] * _RANDOM + [True] * _ON_TIES:
        leaves = tuple(
            _values(rng, leaf, stand_in, few, stated_range(leaf, ranges), defaults, smallest)
            for leaf, stand_in in zip(trace.inputs, given, strict=True)
        )
        vectors = [outputs[k] for k in subject.floats], [given[k] for k in subject.wrt]
        cotangents, tangents = (
            tuple(np.asarray(rng.normal(size=v.shape)).astype(v.dtype) for v in some)
            for some in vectors
        )
        samples.append(Sample(few, leaves, cotangents, tangents))
    return samples


def _values(
    rng: np.random.Generator,
    leaf: Input,
    given: Any,
    few: bool,
    stated: Range | None,
    defaults: Mapping[str, float],
    smallest: int,
) -> Any:
    """Values of one leaf: integers are valid as indices, unless a range says otherwise; `few` of
    them are different."""
    shape = given.shape
    values: Any
    if leaf.dtype == KEY:
        return jax.random.split(jax.random.key(rng.integers(1000)), shape)
    if leaf.dtype == "bool":
        values = rng.integers(0, 2, shape)
    elif not is_float(leaf.dtype):
        low, high = (0, smallest - 1) if stated is None else map(int, stated)
        values = rng.integers(low, high, shape, endpoint=True)
        if stated is None and leaf.path in defaults:
            values = defaults[leaf.path]
    elif stated is not None:
        values = rng.uniform(*stated, shape)
    elif leaf.path in defaults:
        default = defaults[leaf.path]
        rounded = np.copysign(2.0 ** np.round(np.log2(abs(default))), default) if default else 0.0
        values = rng.choice([default, rounded]) if few else default * rng.choice([0.5, 2.0])
    elif few:
        values = rng.choice(_FEW, shape) * (rng.random(shape) < rng.choice(_DENSE))
    else:
        values = rng.normal(size=shape)
    return np.broadcast_to(np.asarray(values).astype(given.dtype), shape)


def shown(sizes: Mapping[str, Dim]) -> str:
    """`batch=2, n=3`."""
    return ", ".join(f"{name}={number}" for name, number in sizes.items())
