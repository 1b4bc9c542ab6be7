"""Whole losses through time: the committed files' gradients beside those of the sources."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generating import ROOT, each
from jax.extend import core
from test_models import load

from benchmarks.network_arguments import arguments

NETWORKS = tuple(sorted(path.stem for path in (ROOT / "models" / "networks").glob("*.py")))
REPRESENTATIVES = ("recurrent_loss", "convolutional_loss")
"""Recurrence and what is added up; layer after layer. The normal run takes these."""
SIZES = {"batch": 5, "n_in": 7, "n": 9, "n_out": 4, "m": 3, "c": 3, "h": 2}
RESULT_AND_MORE = {"rate_loss"}
"""What gives more than its loss."""


@cache
def source(name: str) -> Any:
    return load(ROOT / "models" / "networks" / f"{name}.py")


@cache
def module(name: str) -> Any:
    return load(ROOT / "generated" / "networks" / f"{name}_grad.py")


def generated(name: str, suffix: str = "") -> Any:
    return getattr(module(name), f"{name}{suffix}")


def given(name: str, time: int, dtype: str) -> tuple[Any, ...]:
    return arguments(name, source(name), {"time": time, **SIZES}, dtype, rate=0.2)


def value_and_grad(name: str, function: Any) -> Any:
    return jax.value_and_grad(function, has_aux=name in RESULT_AND_MORE)


@pytest.mark.parametrize("name", each(*NETWORKS, representatives=REPRESENTATIVES))
@pytest.mark.parametrize("time", [1, *(pytest.param(n, marks=pytest.mark.full) for n in (2, 1000))])
def test_gradients_are_those_of_jax(name: str, time: int) -> None:
    """After a thousand steps too, to 1e-12 of each leaf's largest entry, in float64."""
    with jax.enable_x64(True):
        values = given(name, time, "float64")
        by_jax = value_and_grad(name, getattr(source(name), name))
        through = value_and_grad(name, generated(name))
        as_well = time < 9 or name in REPRESENTATIVES

        def everything(*values: Any) -> Any:
            value, (gradient,) = generated(name, "_value_and_grad")(*values)
            return by_jax(*values), (value, gradient), through(*values) if as_well else None

        due, found, again = jax.jit(everything)(*values)
        assert time < 9 or all(float(jnp.abs(x).max()) > 1e-6 for x in jax.tree.leaves(due[1]))
        close(found, due)
        if as_well:
            close(again, due)


@pytest.mark.parametrize("name", each(*NETWORKS, representatives=REPRESENTATIVES[:1]))
def test_tangents_are_those_of_jax(name: str) -> None:
    with jax.enable_x64(True):
        weights, *rest = given(name, 30, "float64")
        along = jax.tree.map(jnp.cos, weights)
        forward = getattr(module(name), f"{name}_forward", None)
        if forward is None:  # rules for cotangents alone have no forward mode
            assert "custom_vjp" in (ROOT / "models/networks" / f"{name}.py").read_text("utf-8")
            return
        loss = getattr(source(name), name)
        try:
            due = jax.jvp(lambda w: loss(w, *rest), (weights,), (along,))
        except TypeError:  # a custom_vjp function has no forward mode
            value, gradient = jax.value_and_grad(loss)(weights, *rest)
            due = value, sum(jax.tree.leaves(jax.tree.map(jnp.vdot, gradient, along)))
        close(floats(jax.jvp(lambda w: forward(w, *rest), (weights,), (along,))), floats(due))


@pytest.mark.full
@pytest.mark.parametrize("name", NETWORKS)
def test_a_batch_of_networks(name: str) -> None:
    """Under vmap with weights of each, and in float32."""
    weights, *rest = given(name, 20, "float32")
    several = jax.tree.map(lambda x: jnp.stack([x, 0.5 * x]), weights)
    axes = (0, *(None for _ in rest))
    due, found = (
        jax.vmap(jax.grad(f, has_aux=name in RESULT_AND_MORE), in_axes=axes)(several, *rest)
        for f in (getattr(source(name), name), generated(name))
    )
    close(found, due, 1e-3)


def test_convolutions_are_taken_for_all_steps_at_once() -> None:
    """Forth, back, and for the kernels."""
    name = "convolutional_loss"
    closed = jax.make_jaxpr(generated(name, "_value_and_grad"))(*given(name, 4, "float32"))
    found = [(e.primitive.name, inside) for e, inside in equations(closed.jaxpr)]
    assert ("conv_general_dilated", False) in found
    assert ("conv_general_dilated", True) not in found


def test_substeps_are_run_again_and_not_stored() -> None:
    """Of four values a neuron, what the ten substeps of each step begin with is kept."""
    sizes, kept = (module("hodgkin_huxley_loss").GRADGEN[k] for k in ("sizes", "counts"))
    each_step = 4 * sizes["batch"] * sizes["n"] * sizes["time"]
    assert kept["residuals"]["kept"]["bytes"] <= 5 * each_step


@pytest.mark.parametrize("name", ["van_rossum_loss", "recurrent_loss", "ei_loss"])
def test_spikes_are_put_out_as_truth_values(name: str) -> None:
    """For the product after the backward loop that gives the gradient of recurrent weights."""
    closed = jax.make_jaxpr(generated(name, "_value_and_grad"))(*given(name, 6, "float32"))
    loops = [e for e, _ in equations(closed.jaxpr) if e.primitive.name == "scan"]
    backward = [e for e in loops if e.params["reverse"]]
    stacked = [v.aval for e in backward for v in e.outvars[e.params["num_carry"] :]]
    assert "bool" in {str(aval.dtype) for aval in stacked}


def equations(jaxpr: core.Jaxpr, inside: bool = False) -> Iterator[tuple[Any, bool]]:
    """All equations, and whether they are in a loop."""
    for eqn in jaxpr.eqns:
        yield eqn, inside
        for inner in jax.tree.leaves(list(eqn.params.values())):
            inner = getattr(inner, "jaxpr", inner)
            if isinstance(inner, core.Jaxpr):
                yield from equations(inner, inside or eqn.primitive.name == "scan")


def floats(tree: Any) -> list[Any]:
    """What has a derivative."""
    return [x for x in jax.tree.leaves(tree) if jnp.issubdtype(x.dtype, jnp.floating)]


def close(found: Any, due: Any, relative: float = 1e-12) -> None:
    assert [x.shape for x in jax.tree.leaves(found)] == [x.shape for x in jax.tree.leaves(due)]
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True):
        scale = max(float(jnp.abs(other).max()), 1e-3)
        np.testing.assert_allclose(one, other, rtol=0, atol=relative * scale)
