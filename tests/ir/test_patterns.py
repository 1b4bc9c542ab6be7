"""Patterns of partials: their products and sums against the dense Jacobians that they stand for."""

from __future__ import annotations

from math import prod

import hypothesis.strategies as st
import numpy as np
from hypothesis import given, settings
from random_runs import cases

from gradgen.ir.patterns import Pattern, product, total

SIZES = {"a": 2, "b": 3}
DIMS = st.sampled_from(["a", "b", 1])
SHAPES = st.lists(DIMS, max_size=2).map(tuple)


def size(dim):
    return SIZES.get(dim, dim)


def dense(pattern, values, target, source):
    """The Jacobian itself, with the axes of target and source."""
    held = sorted(pattern.held)
    found = np.zeros([size(d) for d in (*target, *source)])
    for index in np.ndindex(found.shape):
        at, axes = {}, (*pattern.rows, *pattern.columns)
        same = [at.setdefault(k, i) == i for k, i in zip(axes, index, strict=True)]
        if all(same):
            found[index] = values[tuple(at[k] for k in held)]
    return found


@st.composite
def patterns(draw, target, source):
    """A pattern of a partial between these shapes, and values for it."""
    labels, dims = [], {}
    for dim in (*target, *source):
        alike = [k for k, d in dims.items() if d == dim]
        label = draw(st.sampled_from([*alike, len(dims)]))
        dims.setdefault(label, dim)
        labels.append(label)
    held = frozenset(draw(st.sets(st.sampled_from(sorted(dims))))) if dims else frozenset()
    rows, columns = tuple(labels[: len(target)]), tuple(labels[len(target) :])
    pattern, _ = Pattern.of(rows, columns, held, dims)
    shape = [size(pattern.dims[k]) for k in sorted(pattern.held)]
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    return pattern, rng.integers(-3, 4, shape).astype(float)


@st.composite
def pairs(draw):
    target, middle, source = draw(SHAPES), draw(SHAPES), draw(SHAPES)
    return (target, middle, source), draw(patterns(target, middle)), draw(patterns(middle, source))


@settings(max_examples=cases(400), deadline=None)
@given(pairs())
def test_products_are_those_of_dense_jacobians(drawn):
    (target, middle, source), (left, a), (right, b) = drawn
    found = product(left, right)
    letters = {label: chr(97 + k) for k, label in enumerate(found.dims)}
    one = "".join(letters[found.left[k]] for k in sorted(left.held))
    two = "".join(letters[found.right[k]] for k in sorted(right.held))
    back = {number: label for label, number in found.kept.items()}
    out = "".join(letters[back[k]] for k in sorted(found.pattern.held))
    values = prod(map(size, found.repeated)) * np.einsum(f"{one},{two}->{out}", a, b)
    due = np.tensordot(dense(left, a, target, middle), dense(right, b, middle, source), len(middle))
    np.testing.assert_array_equal(dense(found.pattern, values, target, source), due)


@settings(max_examples=cases(400), deadline=None)
@given(pairs())
def test_the_price_is_that_of_the_einsum(drawn):
    _, (left, _), (right, _) = drawn
    found = product(left, right)
    held = {found.left[k] for k in left.held} | {found.right[k] for k in right.held}
    spread = prod(size(found.dims[label]) for label in held)
    kept = prod(size(found.pattern.dims[k]) for k in found.pattern.held)
    assert found.multiplications(left, right, SIZES) == spread
    assert found.additions(left, right, SIZES) == spread - kept


@settings(max_examples=cases(200), deadline=None)
@given(st.data())
def test_sums_of_equal_structure_are_one_term(data):
    target, source = data.draw(SHAPES), data.draw(SHAPES)
    one, a = data.draw(patterns(target, source))
    other, b = data.draw(patterns(target, source))
    found = total(one, other)
    if (one.rows, one.columns) != (other.rows, other.columns):
        assert found is None
        return
    order = sorted(found.held)

    def spread(pattern, values):
        places = [size(found.dims[k]) if k in pattern.held else 1 for k in order]
        full = [size(found.dims[k]) for k in order]
        return np.broadcast_to(values.reshape(places), full)

    due = dense(one, a, target, source) + dense(other, b, target, source)
    values = spread(one, a) + spread(other, b)
    np.testing.assert_array_equal(dense(found, values, target, source), due)
