"""How far roundings carry: a program run again with every operation's result moved a little.

What is added up and cancels, what is divided by little, and what is rounded before it meets a
steep function shows in how far the program's results move. No other measure of its own error is
needed, whatever its operations are.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gradgen.verify.eager import SEVERAL_WAYS, Operation, Program, Scan, Values
from gradgen.verify.floats import Array, epsilon

_POOL = 4099
"""So many random signs, used again and again from other places on, and as many behind them."""
_STRIDE = 1009
_LONG = 50
"""Loops of so many steps are compiled: one operation after the other they take minutes."""
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


_ALIKE = 16
"""A sum moves by a unit for so many terms: of equal numbers all additions round in one direction,
by half a unit of the sum so far."""


ONE_WAY = [np.ones(2 * _POOL), -np.ones(2 * _POOL)]
"""All up, and all down: so roundings go where what is added up does not change."""


class Pair(NamedTuple):
    """A value as it is, and moved."""

    exact: Any
    near: Any


def moved(
    program: Program,
    *arguments: Any,
    signs: Array,
    with_arguments: bool = False,
    with_decisions: bool = False,
) -> Any:
    """How far the leaves of a program's result move, by random signs.

    Comparisons keep their outcomes. What goes in may be rounded, too. `with_decisions` tells what
    comes of what XLA itself computes in several ways: that alone moves, and comparisons follow.
    """
    mover = _Mover(signs, with_decisions)
    given = jax.tree.leaves(arguments)
    if with_arguments:
        given = [Pair(leaf, mover.move(leaf)) for leaf in given]
    found = program.run(given, mover.apply)
    with np.errstate(invalid="ignore"):
        return program.unflatten([apart(*_pair(value)) for value in found])


def draw_signs(count: int, seed: int = 0) -> list[Array]:
    """Random signs for as many runs."""
    rng = np.random.default_rng(seed)
    return [rng.choice([-1.0, 1.0], 2 * _POOL) for _ in range(count)]


def apart(exact: Any, near: Any) -> Any:
    """How far numbers are from each other; anything else as it is."""
    return np.abs(np.asarray(near) - np.asarray(exact)) if _is_float(exact) else exact


class _Mover:
    """Evaluates operations on pairs; what is no pair does not move."""

    def __init__(self, signs: Array, with_decisions: bool) -> None:
        self._signs = signs
        self._with_decisions = with_decisions
        self._next = 0

    def move(self, value: Any, units: float = 1.0) -> Any:
        """A value with every element so many units further up or down, but zeros and infinities."""
        if not _is_float(value):
            return value
        self._next = (self._next + _STRIDE) % _POOL
        return _scaled(np.asarray(value), self._signs[self._next :], units)

    def apply(self, operation: Operation, operands: Values) -> Values:
        """What an operation gives."""
        if operation.inside is not None:
            loop = operation.inside
            # what decides has to be what it is by itself
            if isinstance(loop, Scan) and not self._with_decisions and _is_long(loop):
                return self._compiled(loop, operands)
            return loop(operands, self.apply)
        pairs = [_pair(value) for value in operands]
        exact = self._on(operation, [pair.exact for pair in pairs])
        decides = operation.name in _STEPS or not any(map(_is_float, exact))
        if decides and not self._with_decisions:
            return exact
        near = self._on(operation, [pair.near for pair in pairs])
        if self._with_decisions:
            moves = operation.name in SEVERAL_WAYS
        else:
            moves = operation.name not in _UNROUNDED
        if moves:
            units = max(1.0, operation.terms / _ALIKE)
            near = [self.move(value, units) for value in near]
        return list(map(Pair, exact, near))

    def _on(self, operation: Operation, operands: Values) -> Values:
        return operation.on(operands)

    def _compiled(self, loop: Scan, operands: Values) -> Values:
        """What a loop gives, compiled as a whole: XLA may round what is exact otherwise then, which
        is moved all the same."""
        self._next = (self._next + _STRIDE) % _POOL
        found = _compiled(loop)(self._signs, self._next, [_pair(value) for value in operands])
        return [Pair(*map(np.asarray, one)) if _is_float(one.exact) else one for one in found]


class _Tracing(_Mover):
    """Evaluates operations on pairs of traced values."""

    def __init__(self, signs: Any, start: Any) -> None:
        super().__init__(signs, with_decisions=False)
        self._next = start

    def move(self, value: Any, units: float = 1.0) -> Any:
        if not _is_float(value):
            return value
        self._next = (self._next + _STRIDE) % _POOL
        return _scaled(value, jax.lax.dynamic_slice(self._signs, (self._next,), (_POOL,)), units)

    def _on(self, operation: Operation, operands: Values) -> Values:
        assert operation.bound is not None
        return operation.bound(*operands)


def _is_long(loop: Scan) -> bool:
    """Whether a loop is to be compiled, and can be."""
    return loop.length >= _LONG and loop.body.is_straight


@lru_cache(50)
def _compiled(loop: Scan) -> Any:
    """A loop on pairs, with the signs and with the place of the first of them."""

    def run(signs: Any, start: Any, operands: Values) -> Values:
        shared, carry, inputs = loop.split(operands)

        def step(state: Any, now: Values) -> Any:
            at, carry = state
            mover = _Tracing(signs, at)
            after, given = loop.step(shared, carry, now, mover.apply)
            return (mover._next, list(map(_pair, after))), list(map(_pair, given))

        first = jnp.asarray(start), list(carry)
        (_, last), stacked = jax.lax.scan(
            step, first, list(inputs), length=loop.length, reverse=loop.reverse
        )
        return [*last, *stacked]

    return jax.jit(run, compiler_options={"xla_backend_optimization_level": 0})


def _scaled(value: Any, signs: Any, units: float) -> Any:
    """A value with every element so many units further up or down, as the signs say."""
    if value.size > signs.size:
        signs = (np if isinstance(signs, np.ndarray) else jnp).resize(signs, value.size)
    factors = 1 + units * epsilon(str(value.dtype)) * signs[: value.size].reshape(value.shape)
    # a product, as infinities stay what they are then
    return value * factors.astype(value.dtype)


def _pair(value: Any) -> Pair:
    return value if isinstance(value, Pair) else Pair(value, value)


def _is_float(value: Any) -> bool:
    return jnp.issubdtype(value.dtype, jnp.floating)
