"""How far roundings carry: a program run again with every operation's result moved a little.

What is added up and cancels, what is divided by little, and what is rounded before it meets a
steep function shows in how far the program's results move. No other measure of its own error is
needed, whatever its operations are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
from jax import lax

from gradgen.verify.array_operations import INSIDE, called_by
from gradgen.verify.floats import Array, epsilon

_POOL = 4099
"""So many random signs, used again and again from other places on, and as many behind them."""
_STRIDE = 1009
_STEPS = frozenset((
    "sign", "floor", "ceil", "round", "select_and_scatter_add", "select_and_gather_add", "sort",
))  # fmt: skip
"""What depends on an order of numbers, which is to stay as it is."""

_UNROUNDED = frozenset((
    "abs", "broadcast_in_dim", "clamp", "concatenate", "copy", "copy_p", "cummax", "cummin",
    "dynamic_slice", "dynamic_update_slice", "expand_dims", "gather", "max", "min", "neg",
    "optimization_barrier", "pad", "reduce_max", "reduce_min", "reduce_window_max",
    "reduce_window_min", "reshape", "rev", "scatter", "select_n", "slice", "squeeze",
    "stop_gradient", "transpose",
))  # fmt: skip
"""What gives numbers that it was given: a largest one that were moved would no more be among them,
and the exponential of a difference to it may overflow."""

Pair = tuple[Any, Any]
"""A value as it is, and moved."""


def moved(function: Callable[..., Any]) -> Callable[..., Any]:
    """How far the leaves of a function's result move, by random signs and its arguments.

    Comparisons keep their outcomes.
    """

    def run(signs: Any, *arguments: Any) -> Any:
        program, result = jax.make_jaxpr(function, return_shape=True)(*arguments)
        mover = _Mover(signs)
        given = [(leaf, mover.move(leaf)) for leaf in map(jnp.asarray, jax.tree.leaves(arguments))]
        found = mover.run(program.jaxpr, program.consts, given)
        away = [jnp.abs(near - exact) if _is_float(exact) else exact for exact, near in found]
        return jax.tree.unflatten(jax.tree.structure(result), away)

    return run


def draw_signs(count: int, seed: int = 0) -> list[Array]:
    """Random signs for as many runs."""
    rng = np.random.default_rng(seed)
    return [rng.choice([-1.0, 1.0], 2 * _POOL) for _ in range(count)]


class _Mover:
    """Evaluates a program on pairs."""

    def __init__(self, signs: Any) -> None:
        self._signs = signs
        self._next = 0

    def move(self, value: Any) -> Any:
        """A value with every element one unit further up or down, but zeros and infinities."""
        if not _is_float(value):
            return value
        number = int(np.prod(value.shape))
        self._next = (self._next + _STRIDE) % _POOL
        if number > _POOL:
            signs = jnp.resize(self._signs, value.shape)
        else:
            signs = lax.slice(self._signs, (self._next,), (self._next + number,))
        unit = epsilon(str(value.dtype)) * lax.reshape(signs, value.shape)
        # a product, as infinities stay what they are then
        return value * (1 + unit).astype(value.dtype)

    def run(self, jaxpr: Any, constants: Sequence[Any], given: Sequence[Pair]) -> list[Pair]:
        """The results of a program."""
        known: dict[Any, Pair] = {}
        for variable, value in zip(jaxpr.constvars, constants, strict=True):
            known[variable] = (value, value)
        known.update(zip(jaxpr.invars, given, strict=True))

        def read(atom: Any) -> Pair:
            return (atom.val, atom.val) if isinstance(atom, jex.Literal) else known[atom]

        for equation in jaxpr.eqns:
            results = self._apply(equation, [read(atom) for atom in equation.invars])
            known.update(zip(equation.outvars, results, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _apply(self, equation: Any, operands: Sequence[Pair]) -> list[Pair]:
        primitive = equation.primitive
        if primitive.name in INSIDE:
            return self.run(*called_by(equation), operands)
        exact = _results(equation, [one for one, _ in operands])
        if primitive.name in _STEPS or not any(map(_is_float, exact)):
            return [(value, value) for value in exact]
        near = _results(equation, [other for _, other in operands])
        if primitive.name in _UNROUNDED:
            return list(zip(exact, near, strict=True))
        return [
            (value, self.move(other) if _is_float(value) else value)
            for value, other in zip(exact, near, strict=True)
        ]


def _results(equation: Any, operands: Sequence[Any]) -> list[Any]:
    found = equation.primitive.bind(*operands, **equation.params)
    return list(found) if equation.primitive.multiple_results else [found]


def _is_float(value: Any) -> bool:
    return jnp.issubdtype(jnp.result_type(value), jnp.floating)
