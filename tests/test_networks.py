"""Whole losses through time: the committed files' gradients beside those of the sources."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generating import ROOT
from test_models import load

NETWORKS = {
    "recurrent_loss": {"w": (7, 9), "v": (9, 9), "u": (9, 4)},
    "feedforward_loss": {"first": (7, 9), "second": (9, 9), "out": (9, 4)},
}


def arguments(name: str, time: int, dtype: str) -> tuple[Any, ...]:
    """Weights with which neurons fire, sparse spike trains and labels."""
    rng = np.random.default_rng(3)
    weights = type_of(name)(
        *(
            jnp.asarray(6.0 * rng.normal(size=s) / s[0] ** 0.5, dtype)
            for s in NETWORKS[name].values()
        )
    )
    spikes = jnp.asarray(rng.uniform(size=(time, 5, 7)) < 0.2, dtype)
    return weights, spikes, jnp.asarray(rng.integers(0, 4, 5), jnp.int32)


def type_of(name: str) -> Any:
    return load(ROOT / "models" / "networks" / f"{name}.py").Weights


def source(name: str) -> Any:
    return getattr(load(ROOT / "models" / "networks" / f"{name}.py"), name)


def generated(name: str, suffix: str = "") -> Any:
    module = load(ROOT / "generated" / "networks" / f"{name}_grad.py")
    return getattr(module, f"{name}{suffix}")


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("time", [1, pytest.param(2, marks=pytest.mark.full), 300])
def test_gradients_are_those_of_jax(name: str, time: int) -> None:
    with jax.enable_x64(True):
        given = arguments(name, time, "float64")
        due = jax.jit(jax.value_and_grad(source(name)))(*given)
        value, (gradient,) = jax.jit(generated(name, "_value_and_grad"))(*given)
        assert time < 9 or all(float(jnp.abs(x).max()) > 1e-6 for x in due[1])
        close((value, gradient), due)
        close(jax.jit(jax.value_and_grad(generated(name)))(*given), due)


@pytest.mark.parametrize("name", NETWORKS)
def test_tangents_are_those_of_jax(name: str) -> None:
    with jax.enable_x64(True):
        weights, *rest = arguments(name, 30, "float64")
        along = jax.tree.map(jnp.cos, weights)
        due = jax.jvp(lambda w: source(name)(w, *rest), (weights,), (along,))
        close(jax.jvp(lambda w: generated(name, "_forward")(w, *rest), (weights,), (along,)), due)


@pytest.mark.parametrize(
    "name", ["recurrent_loss", pytest.param("feedforward_loss", marks=pytest.mark.full)]
)
def test_a_batch_of_networks(name: str) -> None:
    """Under vmap with weights of each, and in float32."""
    weights, *rest = arguments(name, 20, "float32")
    several = jax.tree.map(lambda x: jnp.stack([x, 0.5 * x]), weights)
    due, found = (
        jax.vmap(jax.grad(f), in_axes=(0, None, None))(several, *rest)
        for f in (source(name), generated(name))
    )
    close(found, due, 1e-4)


def close(found: Any, due: Any, relative: float = 1e-12) -> None:
    assert [x.shape for x in jax.tree.leaves(found)] == [x.shape for x in jax.tree.leaves(due)]
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True):
        scale = max(float(jnp.abs(other).max()), 1e-3)
        np.testing.assert_allclose(one, other, rtol=0, atol=relative * scale)
