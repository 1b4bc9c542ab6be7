"""Calls of functions on arrays that need a look of their own."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from test_arrays import pair

BACKWARD_ALONE = """
# gradgen: shape x=(n,) y=(n,) b=()
def f(x, y, b):
    z, p = weighed(x, y, b)
    return 2 * z, p + z
"""
RULE = """
@jax.custom_vjp
def weighed(x, y, b):
    return (x > y).astype(x.dtype), x * y + b

def _backward(kept, cotangents):
    (x, y, b), (z, p) = kept, cotangents
    return z * y + p, -z / (1 + b**2), (p * x).sum()

weighed.defvjp(lambda *given: (weighed(*given), given), _backward)
"""


def test_a_backward_rule_that_is_not_elementwise_leaves_no_forward_mode(tmp_path: Path) -> None:
    made = pair(tmp_path, RULE + BACKWARD_ALONE)
    assert made.function("_forward") is None
    assert made.function("_jvp") is None
    given = jnp.asarray([0.5, -1.0, 2.0]), jnp.asarray([1.0, 0.5, -1.0]), jnp.asarray(0.3)
    weights = jnp.asarray([1.0, 2.0, -1.0]), jnp.asarray([0.5, 1.0, 3.0])
    due, found = (
        jax.vjp(function, *given)[1](weights) for function in (made.source, made.function())
    )
    for one, other in zip(found, due, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)
