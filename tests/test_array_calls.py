"""Calls of functions on arrays that need a look of their own."""

from __future__ import annotations

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from array_sources import SOURCES
from test_arrays import pair

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.front import open_front
from gradgen.config import Settings

LARGEST = """
# gradgen: shape w=(n, m) z=(6, b, n) y=(b,):int32

def f(w, z, y):
    i = z @ w
    o, over_time = 0.0 * i[0], []
    for t in range(6):
        o = 0.9 * o + i[t]
        over_time.append(o)
    largest = jnp.stack(over_time).max(0)
    return -jax.nn.log_softmax(largest)[jnp.arange(z.shape[1]), y].sum()
"""
ANNOTATED = """
def f(w: Float[Array, "n m"], x: Rows, labels: Int[Array, " batch"], scale: float = 1.0):
    return (jnp.tanh(x @ w) * scale)[jnp.arange(x.shape[0]), labels].sum()
"""
TYPES = """
from __future__ import annotations
from typing import TYPE_CHECKING
import jax.numpy as jnp

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int

    Rows = Float[Array, "batch n"]
"""
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


def test_the_largest_is_found_where_xla_computes_it_twice(tmp_path: Path) -> None:
    """Compiled with fusion, where what is compared may be rounded otherwise than its maximum."""
    made = pair(tmp_path, LARGEST)
    due, found = (jax.jit(jax.grad(function)) for function in (made.source, made.function()))
    chance = np.random.default_rng(0)
    for size in (1, 1, 1, 1, 1, 1, 8):
        w, z = chance.normal(size=(size, size)), chance.normal(size=(6, size, size))
        given = jnp.asarray(w), jnp.asarray(z), jnp.zeros(size, jnp.int32)
        np.testing.assert_allclose(found(*given), due(*given), rtol=1e-4, atol=1e-5)


def test_an_array_that_is_weakly_typed_has_its_dtype(tmp_path: Path) -> None:
    made = pair(tmp_path, SOURCES["the dtype of an argument"])
    z, r = jnp.ones((2, 3), jnp.bfloat16), jnp.full((3, 3), 0.5)
    with pytest.raises(TypeError, match="floats of one precision, not bfloat16 and float32"):
        made.function()(z, r)
    r = jnp.full((3, 3), 0.5, jnp.bfloat16)
    assert made.function()(z, r).dtype == made.source(z, r).dtype == jnp.bfloat16


@pytest.mark.parametrize("rows", ['Float[Array, "batch n"]', "Rows"])
def test_shapes_are_those_of_annotations(rows: str, tmp_path: Path) -> None:
    """Written in place, or by a name of the module's."""
    path = tmp_path / "model.py"
    path.write_text(TYPES + ANNOTATED.replace("x: Rows", f"x: {rows}"))
    front = open_front(Settings(str(path)))
    assert isinstance(front, ArrayFront)
    paths = [i.path for i in front.trace.inputs]
    shapes = dict(zip(paths, front.trace.shapes, strict=True))
    assert shapes == {"w": ("n", "m"), "x": ("batch", "n"), "labels": ("batch",), "scale": ()}


@pytest.mark.parametrize("key", ["PRNGKeyArray", "jaxtyping.PRNGKeyArray"])
def test_a_key_is_annotated_by_the_name_that_keys_have(key: str, tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(
        "import jax, jaxtyping\nfrom jaxtyping import Array, Float, PRNGKeyArray\n"
        f"def f(v: Float[Array, 'n'], w: Float[Array, 'n n'], *, key: {key}):\n"
        "    return v @ w + jax.random.normal(key, v.shape)\n"
    )
    front = open_front(Settings(str(path)))
    assert isinstance(front, ArrayFront)
    assert [(i.path, i.dtype) for i in front.trace.inputs][-1] == ("key", "key")


def test_annotations_leave_neurons_alone(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(TYPES + "def f(v: Rows, i: Rows):\n    return v + i\n")
    assert not isinstance(open_front(Settings(str(path))), ArrayFront)


@pytest.mark.parametrize("results", ["k - 1, k * 2", "k + (v > 1.0), jnp.ones_like(k)"])
def test_integers_of_any_width_give_what_the_source_gives_or_are_refused(
    results: str, tmp_path: Path
) -> None:
    text = f"# gradgen: shape v=(n,) k=(n,):int\ndef f(v, k):\n    return 0.9 * v, {results}\n"
    made = pair(tmp_path, text)
    with jax.enable_x64(True):
        v = jnp.linspace(0.0, 2.0, 3)
        for dtype in ("int8", "int32", "int64"):
            k = jnp.arange(3, dtype=dtype)
            if "ones" in results and dtype != "int64":
                with pytest.raises(TypeError, match=f"f takes int64 for k, not {dtype}"):
                    made.function()(v, k)
                continue
            found = made.function()(v, k)
            assert [x.dtype for x in found] == [x.dtype for x in made.source(v, k)]


@pytest.mark.parametrize("dtype", ["bfloat16", "float32", "float64"])
def test_numbers_at_places_have_the_dtype_of_the_array(dtype: str, tmp_path: Path) -> None:
    text = (
        "# gradgen: shape x=(b, n)\n"
        "def f(x):\n"
        "    x = x.at[0].add(1.0).at[-1, -1].set(0.5)\n"
        "    return lax.dynamic_update_slice(x, jnp.full((1, 1), 2.0, x.dtype), (0, 1))\n"
    )
    made = pair(tmp_path, text)
    with jax.enable_x64(True):
        x = jnp.arange(12.0).reshape(3, 4).astype(dtype)
        for function in (lambda f: f, lambda f: jax.grad(lambda x: f(x).sum())):
            found, due = (function(f)(x) for f in (made.function(), made.source))
            assert found.dtype == due.dtype
            np.testing.assert_array_equal(found, due)
