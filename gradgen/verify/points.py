"""Random points in stated or default ranges, the same for every run with the same seed."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax.numpy as jnp
import numpy as np

from gradgen.ir.code import concrete, is_float
from gradgen.ir.pytree import Structure, join
from gradgen.ir.trace import Argument, Input, Trace
from gradgen.verify.floats import Array

Range = tuple[float, float]

_DEFAULT: Range = (-3.0, 3.0)
_INTEGERS: Range = (0, 5)
_AROUND_ZERO: Range = (-1.0, 1.0)


def input_ranges(trace: Trace, stated: Mapping[str, Range]) -> list[Range]:
    """For each input the range it is drawn from.

    Where none is stated, a parameter with a default value varies by half of it, an integer goes
    from 0 to 5, and everything else from -3 to 3.
    """
    defaults = default_values(trace.arguments)
    return [
        stated_range(i, stated) or _default_range(i, defaults.get(i.path)) for i in trace.inputs
    ]


def stated_range(leaf: Input, stated: Mapping[str, Range]) -> Range | None:
    """The range that is stated for an input, or for a container that it is in."""
    parts = leaf.path.split(".")
    found = (stated.get(".".join(parts[:end])) for end in range(len(parts), 0, -1))
    return next((known for known in found if known is not None), None)


def _default_range(leaf: Input, default: float | None) -> Range:
    if not is_float(leaf.dtype):
        return _INTEGERS
    if default is None:
        return _DEFAULT
    if default == 0:
        return _AROUND_ZERO
    low, high = sorted((0.5 * default, 1.5 * default))
    return low, high


def default_values(arguments: Sequence[Argument]) -> dict[str, float]:
    """The numbers among the arguments' default values, by path."""
    found: dict[str, float] = {}
    for argument in arguments:
        found.update(argument.numbers)
        if argument.default is not None:
            expression = ast.parse(argument.default, mode="eval").body
            found.update(_numbers(expression, argument.structure, argument.name))
    return found


def _numbers(node: ast.expr, structure: Structure, path: str) -> Iterator[tuple[str, float]]:
    """The numbers in a literal of a given structure."""
    if structure.is_leaf:
        try:
            value = ast.literal_eval(node)
        except ValueError:
            return
        if structure.kind in ("float", "int") and np.isfinite(value):
            yield path, float(value)
        return
    children: dict[str, ast.expr] = {}
    match node:
        case ast.Tuple() | ast.List():
            children = {str(k): child for k, child in enumerate(node.elts)}
        case ast.Dict():
            children = {
                str(key.value): value
                for key, value in zip(node.keys, node.values, strict=True)
                if isinstance(key, ast.Constant)
            }
        case ast.Call():
            children = {k.arg: k.value for k in node.keywords if k.arg is not None}
    for key, child in zip(structure.keys, structure.children, strict=True):
        if key in children:
            yield from _numbers(children[key], child, join(path, key))


def draw(trace: Trace, ranges: Sequence[Range], count: int, seed: int) -> list[Array]:
    """Random values in float64, one array for each input.

    The first four points are not random: all at the lower ends, all at the upper ends, and zero and
    one as far as the ranges allow.
    """
    rng = np.random.default_rng(seed)
    drawn = []
    for leaf, (low, high) in zip(trace.inputs, ranges, strict=True):
        values: Array
        if leaf.dtype == "bool":
            values = rng.integers(0, 2, count)
            corners = np.array([0, 1, 0, 1])
        elif is_float(leaf.dtype):
            values = rng.uniform(low, high, count)
            corners = np.clip([low, high, 0.0, 1.0], low, high)
        else:
            values = rng.integers(int(np.ceil(low)), int(np.floor(high)), count, endpoint=True)
            corners = np.clip([low, high, 0, 1], low, high)
        values[: len(corners)] = corners[:count]
        drawn.append(values)
    return drawn


def cast(trace: Trace, drawn: Sequence[Array], working: str) -> list[Array]:
    """The points in the inputs' dtypes, with floats rounded to `working`."""
    return [
        np.asarray(values).astype(numpy_dtype(leaf, working))
        for leaf, values in zip(trace.inputs, drawn, strict=True)
    ]


def numpy_dtype(leaf: Input, working: str) -> Any:
    """The dtype of an input when floats are of the dtype `working`."""
    return jnp.dtype(concrete(leaf.dtype, working))
