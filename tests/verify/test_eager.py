"""What is evaluated operation by operation is what JAX computes where nothing is compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from primitive_cases import (
    ACTIVATIONS,
    BINARY,
    CONTROL,
    DOT,
    HEADER,
    INLINED,
    STACKED,
    TERNARY,
    UNARY,
    expressions,
)

from gradgen.verify.eager import Program
from gradgen.verify.floats import same_bits

POINTS = 40
BEFORE = "s, w = jnp.stack([x, y, z]), jnp.stack([x, y, z, x * y, x + z, y - z, 2 * x, 3 * z])"


def step_of(cases: list[str]) -> Callable[..., Any]:
    names: dict[str, Any] = {}
    exec(f"{HEADER}\ndef step(x, y, z):\n    {BEFORE}\n    return [{', '.join(cases)}]\n", names)
    step: Callable[..., Any] = names["step"]
    return step


def numbers(*shape: int, dtype: str = "float32", seed: int = 0) -> Any:
    found = np.random.default_rng(seed).normal(0, 2, shape)
    found.reshape(-1)[:4] = (0.0, -0.0, 1.0, -1.0)[: found.size]
    return jnp.asarray(found.astype(dtype))


def require_same(function: Callable[..., Any], *arguments: Any, names: Any = None) -> None:
    """Of the bits that JAX computes with `jit` switched off, loops in Python."""
    found = jax.tree.leaves(Program(function, *arguments)(*arguments))
    with jax.disable_jit():
        due = jax.tree.leaves(function(*arguments))
    for k, (one, other) in enumerate(zip(found, due, strict=True)):
        assert (one.shape, one.dtype) == (other.shape, other.dtype), names and names[k]
        assert same_bits(one, other).all(), names and names[k]


@pytest.mark.parametrize(
    ("cases", "dtype"),
    [
        # in the full matrix both precisions
        pytest.param(
            text,
            dtype,
            id=f"{number}-{dtype}",
            marks=() if number == 0 or (number % 2 == 0) == wide else pytest.mark.full,
        )
        for number, text in enumerate((UNARY, BINARY, TERNARY, INLINED, ACTIVATIONS, DOT, STACKED))
        for dtype, wide in (("float32", False), ("float64", True))
    ],
)
def test_of_elementwise_operations(cases: str, dtype: str) -> None:
    with jax.enable_x64(dtype == "float64"):
        arguments = [numbers(POINTS, dtype=dtype, seed=seed) for seed in range(3)]
        # XLA would multiply by the reciprocal of the sum, see below
        listed = [case for case in expressions(cases) if "softmax" not in case]
        require_same(jax.vmap(step_of(listed)), *arguments, names=listed)


def test_of_control_flow_at_a_point() -> None:
    point = [jnp.float32(number) for number in (0.7, -1.3, 2.1)]
    require_same(step_of(expressions(CONTROL)), *point, names=expressions(CONTROL))


def loop(x: Any, xs: Any) -> Any:
    def body(carry: Any, each: Any) -> Any:
        mean = jax.jit(lambda a: (a * x + each) / 3.0)(carry)
        return jnp.where(mean > 0, mean, -2.0 * mean), (mean, each > 0)

    found = lax.scan(body, x, xs), lax.scan(body, x, xs, reverse=True)
    halved = lax.while_loop(lambda a: jnp.any(a[1] > 1.0), lambda a: (a[0] + 1, a[1] / 3.0), (0, x))
    return found, halved, lax.cond(x[0] > 0.5, jnp.sin, jnp.cos, x)


def test_of_loops_and_branches() -> None:
    require_same(loop, numbers(6), numbers(5, 6, seed=1))


def test_of_loops_that_are_mapped() -> None:
    rows, columns = numbers(3, 6), numbers(3, 5, 6, seed=1)
    found = Program(jax.vmap(loop), rows, columns)(rows, columns)
    for k in range(3):
        each = Program(loop, rows[k], columns[k])(rows[k], columns[k])
        for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(each), strict=True):
            assert same_bits(one[k], other).all()


def test_of_loops_over_keys_and_of_no_step() -> None:
    def noisy(x: Any, keys: Any) -> Any:
        def body(carry: Any, key: Any) -> Any:
            return carry + jax.random.normal(key, x.shape), (key, carry)

        after, (used, before) = lax.scan(body, x, keys)
        nothing = lax.scan(lambda carry, each: (carry, carry * each), x, jnp.zeros((0, 6)))
        return after, jax.random.key_data(used), before, nothing

    x, keys = numbers(6), jax.random.split(jax.random.key(0), 3)
    found, due = Program(noisy, x, keys)(x, keys), noisy(x, keys)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        # XLA compiles the whole loop, and numbers about one are added up
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)


def test_of_gradients_through_loops() -> None:
    def total(x: Any, xs: Any) -> Any:
        (carry, (means, _)), *_ = loop(x, xs)[0]
        return jnp.sum(carry * carry) + jnp.sum(jnp.tanh(means))

    require_same(jax.grad(total, argnums=(0, 1)), numbers(6), numbers(5, 6, seed=1))


def test_it_divides_by_what_is_shared_as_by_what_is_not() -> None:
    """XLA multiplies by the reciprocal instead, even where it compiles nothing but the division."""
    x = numbers(2, 500)
    for shared in (jnp.float32(0.9), jnp.abs(numbers(2, 1, seed=1)) + 0.3):
        each = jnp.broadcast_to(shared, x.shape)
        for divided in (lambda a, b: a / b, lambda a, b: b / a):
            assert same_bits(Program(divided, x, shared)(x, shared), divided(x, each)).all()


def test_nothing_is_computed_that_the_result_does_not_need(monkeypatch: pytest.MonkeyPatch) -> None:
    def function(x: Any) -> Any:
        jnp.sin(x)
        return 2.0 * x

    program = Program(function, numbers(6))
    monkeypatch.setattr(lax.sin_p, "bind", None)
    assert same_bits(program(numbers(6)), 2.0 * numbers(6)).all()


def test_sums_in_an_order_of_xla_are_known_even_in_loops() -> None:
    x = numbers(6)
    assert Program(lambda x: x @ x, x).adds_up
    assert Program(lambda x: lax.fori_loop(0, 3, lambda _, a: a @ a * x, x), x).adds_up
    assert not Program(lambda x: lax.fori_loop(0, 3, lambda _, a: a * x, x), x).adds_up
