"""Runs what is generated on a mesh of four devices, and prints what it finds as JSON.

A process of its own, since a process has the devices that it starts with.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "examples")]
from steps import load  # noqa: E402

COLLECTIVE = re.compile(
    r"\b(?:all-reduce|all-gather|all-to-all|collective-permute|reduce-scatter)(?:-start)?\("
)
ROWS, REPLICATED = P("data"), P()
AUTO = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Auto,))
EXPLICIT = jax.make_mesh((4,), ("data",), axis_types=(AxisType.Explicit,))


def put(mesh: jax.sharding.Mesh, arguments: tuple, specs: tuple) -> tuple:
    return tuple(
        jax.device_put(x, NamedSharding(mesh, s)) for x, s in zip(arguments, specs, strict=True)
    )


def compiled(function: Callable, arguments: tuple) -> tuple[Any, int]:
    """The function's result, and how many collectives its compiled program has."""
    program = jax.jit(function).lower(*arguments).compile()
    return program(*arguments), len(COLLECTIVE.findall(program.as_text()))


def off(found: Any, expected: Any) -> float:
    """The largest difference, over the largest entry of each array."""
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    return max(float(np.max(np.abs(f - e)) / np.max(np.abs(e))) for f, e in pairs)


def mapped(function: Callable, specs: tuple, out: Any = REPLICATED) -> Callable:
    return jax.shard_map(function, mesh=AUTO, in_specs=specs, out_specs=out)


def layer() -> dict[str, Any]:
    """The layer by its weights and its state, in a loss that sums all of its results."""
    plain = load("models/layers/lif_layer.py").lif_layer
    module = load("generated/layers/lif_layer_grad.py")
    keys = jax.random.split(jax.random.key(0), 5)
    state = tuple(jax.random.normal(key, (8, 6)) for key in keys[:3])
    x, w = jax.random.normal(keys[3], (8, 5)), jax.random.normal(keys[4], (5, 6))
    arguments, specs = (w, x, *state), (P(), ROWS, ROWS, ROWS, ROWS)

    def loss(function: Callable, w: Any, x: Any, *state: Any) -> Any:
        v, i, z = function(*state, x, w)
        return (v**2 + i + z).sum()

    def gradient(function: Callable) -> Callable:
        return jax.value_and_grad(partial(loss, function), argnums=(0, 1, 2))

    def on_devices(function: Callable) -> Callable:
        def summed(*given: Any) -> Any:
            return jax.lax.psum(loss(function, *given), "data")

        return mapped(
            jax.value_and_grad(summed, argnums=(0, 1, 2)), specs, (P(), (P(), ROWS, ROWS))
        )

    def pulled(w: Any, x: Any, *state: Any) -> Any:
        primals = (*state, x, w)
        v, i, _ = plain(*primals)
        cotangents = 2.0 * v, jnp.ones_like(i), jnp.ones_like(i)
        d_v, _, _, d_x, d_w = module.lif_layer_vjp(primals, cotangents)
        return jax.lax.psum(loss(plain, w, x, *state), "data"), (d_w, d_x, d_v)

    expected, _ = compiled(gradient(plain), arguments)
    found = {}
    for name, transformed, mesh in (
        ("shardings", gradient, AUTO), ("explicit", gradient, EXPLICIT),
        ("shard_map", on_devices, AUTO),
    ):  # fmt: skip
        given = put(mesh, arguments, specs)
        _, usual = compiled(transformed(plain), given)
        result, number = compiled(transformed(module.lif_layer), given)
        found[name] = {"off": off(result, expected), "more": number - usual}
    result, _ = compiled(mapped(pulled, specs, (P(), (P(), ROWS, ROWS))), arguments)
    return found | {"vjp in shard_map": {"off": off(result, expected), "more": 0}}


def network() -> dict[str, Any]:
    """The loss over time by its weights."""
    source = load("models/networks/feedforward_loss.py")
    module = load("generated/networks/feedforward_loss_grad.py")
    keys = jax.random.split(jax.random.key(0), 5)
    weights = source.Weights(
        *(
            3.0 * jax.random.normal(k, s)
            for k, s in zip(keys, ((5, 6), (6, 6), (6, 3)), strict=False)
        )
    )
    xs = jax.random.bernoulli(keys[3], 0.5, (7, 8, 5)).astype(float)
    labels = jax.random.randint(keys[4], (8,), 0, 3, dtype=jnp.int32)
    arguments, specs = (weights, xs, labels), (P(), P(None, "data"), ROWS)

    def first(value_and_gradient: tuple) -> tuple:
        value, (gradient,) = value_and_gradient
        return value, gradient

    def mean(weights: Any, xs: Any, labels: Any) -> Any:
        return jax.lax.pmean(module.feedforward_loss(weights, xs, labels), "data")

    def averaged(*given: Any) -> Any:
        value, gradient = first(module.feedforward_loss_value_and_grad(*given))
        return jax.lax.pmean(value, "data"), jax.tree.map(lambda x: x / 4, gradient)

    def pushed(*given: Any) -> Any:
        tangents = jax.tree.map(jnp.ones_like, given[0])
        along = jax.jvp(
            lambda w: module.feedforward_loss_forward(w, *given[1:]), given[:1], (tangents,)
        )
        return jax.lax.pmean(along, "data")

    plain = jax.value_and_grad(source.feedforward_loss)
    expected, _ = compiled(plain, arguments)
    given = put(AUTO, arguments, specs)
    _, usual = compiled(plain, given)
    found = {}
    for name, function in {
        "shardings": jax.value_and_grad(module.feedforward_loss),
        "value_and_grad": lambda *given: first(module.feedforward_loss_value_and_grad(*given)),
        "shard_map": mapped(jax.value_and_grad(mean), specs),
        "value_and_grad in shard_map": mapped(averaged, specs),
    }.items():
        result, number = compiled(function, given)
        found[name] = {"off": off(result, expected), "more": number - usual}
    tangents = jax.tree.map(jnp.ones_like, weights)
    along = jax.jvp(lambda w: source.feedforward_loss(w, xs, labels), (weights,), (tangents,))
    result, _ = compiled(mapped(pushed, specs), given)
    return found | {"forward mode": {"off": off(result, along), "more": 0}}


def training() -> dict[str, list[float]]:
    """The losses of the example on many devices, in each of its styles."""
    import data_parallel

    return data_parallel.main(updates=5)


if __name__ == "__main__":
    print(json.dumps({"layer": layer, "network": network, "training": training}[sys.argv[1]]()))
