"""Shapes with `...` in front: one text for any number of axes."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from compiling import run_compiled
from test_arrays import pair

from gradgen.compile.array_programs import array_module
from gradgen.verify.arrays import verify_arrays

LAYER = """
# gradgen: shape s.v=(..., n) s.z=(..., n) x=(..., 3) w=(3, n) b=(...,)
# gradgen: example s={v, z}
# gradgen: wrt s, x, w, b

def f(s, x, w, b, tau=0.9):
    v = tau * s["v"] * (1.0 - s["z"]) + x @ w + b[..., None]
    return {"v": v, "z": spike(v - v.mean(-1, keepdims=True))}, v.sum(-1), 2.0 * w
"""
LOSS = """
# gradgen: shape w=(m, n) x=(..., m) labels=(...,):int32
# gradgen: wrt w, x

def f(w, x, labels):
    scores = jax.nn.log_softmax(jnp.tanh(x @ w))
    chosen = jnp.take_along_axis(scores, labels[..., None], -1)
    return -chosen.mean(), (scores, labels)
"""


@pytest.mark.parametrize(
    "text", [LAYER, pytest.param(LOSS, marks=pytest.mark.full)], ids=["layer", "loss"]
)
def test_any_number_of_axes_is_jax(text: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Verification calls everything with none, one and two; here, with three."""
    made = pair(tmp_path, text)
    front, dtypes = made.front, ("float32", "float64")
    report = verify_arrays(
        made.text,
        array_module(front),
        front.function,
        front.signature.bind,
        dtypes=dtypes if pytestconfig.getoption("--full") else dtypes[:1],
    )
    assert report.exact, report.pretty()
    chance = np.random.default_rng(0)
    sizes = {"m": 3, "n": 3}
    leaves = []
    for leaf, shape in zip(made.front.trace.inputs, made.front.trace.shapes, strict=True):
        front = (2, 1, 4) if "leading" in shape else ()
        own = tuple(sizes.get(dim, dim) for dim in shape if dim != "leading")
        values = chance.normal(size=front + own)
        leaves.append(jnp.zeros(front + own, "int32") if leaf.dtype == "int32" else values)
    chosen = tuple(k for k, i in enumerate(made.front.trace.inputs) if i.wrt)

    def gradient(function):
        def total(*leaves):
            parts = [part for part in made.flat(function, leaves) if part.dtype != "int32"]
            return sum(
                (part * jnp.cos(jnp.arange(part.size).reshape(part.shape))).sum() for part in parts
            )

        return run_compiled(jax.value_and_grad(total, chosen), *leaves)

    for due, found in zip(
        *map(jax.tree.leaves, map(gradient, (made.source, made.function()))), strict=True
    ):
        np.testing.assert_allclose(found, due, rtol=1e-4, atol=1e-5)


def test_axes_that_do_not_agree_are_refused(tmp_path: Path) -> None:
    made = pair(tmp_path, LOSS)
    w, x = jnp.ones((3, 4)), jnp.ones((2, 5, 3))
    with pytest.raises(
        ValueError,
        match=r"f takes labels of shape \(\.\.\.\), not \(5,\), where \.\.\. is \(2, 5\)",
    ):
        made.function()(w, x, jnp.zeros(5, "int32"))
    with pytest.raises(ValueError, match=r"f takes x of shape \(\.\.\., m\), not \(\)"):
        made.function()(w, 1.0, jnp.zeros((), "int32"))
    with pytest.raises(ValueError, match=r"f takes w of shape \(m, n\), not \(1, 3, 4\)"):
        made.function()(w[None], x, jnp.zeros((2, 5), "int32"))


def test_a_size_of_nothing_in_front(tmp_path: Path) -> None:
    made = pair(tmp_path, LAYER)
    s = {"v": jnp.ones((2, 0, 4)), "z": jnp.ones((2, 0, 4))}
    given = s, jnp.ones((2, 0, 3)), jnp.ones((3, 4)), jnp.ones((2, 0))
    assert made.function()(*given)[1].shape == (2, 0)
    assert jax.grad(lambda w: made.function()(s, given[1], w, given[3])[1].sum())(
        given[2]
    ).shape == (3, 4)


def test_annotations_have_axes_in_front(tmp_path: Path) -> None:
    text = (
        "Float, Array = dict, jax.Array\n\n"
        "def f(v: Float[Array, '... n']):\n    return v - v.mean(-1, keepdims=True)\n"
    )
    assert pair(tmp_path, text).front.trace.shapes == (("leading", "n"),)
