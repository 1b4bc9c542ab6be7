"""Training on several devices, each with a part of every batch; its loss generated with its loop.

    python examples/data_parallel.py
    XLA_FLAGS=--xla_force_host_platform_device_count=4 python examples/data_parallel.py

Weights are the same on all devices. On several hosts each process runs this script, after
`jax.distributed.initialize()`, and draws its own part of the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import numpy as np
import optax
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P
from spike_trains import GENERATED, SIZES, Weights, batch, initial


def mesh_of_all_devices() -> jax.sharding.Mesh:
    """All devices of all processes in a row."""
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def replicated(mesh: jax.sharding.Mesh, tree):
    """The same values on every device."""
    return jax.device_put(tree, NamedSharding(mesh, P()))


def divided(mesh: jax.sharding.Mesh, xs: np.ndarray, labels: np.ndarray):
    """One array each of the parts of a batch that the processes have, by examples."""
    return tuple(
        jax.make_array_from_process_local_data(NamedSharding(mesh, spec), part)
        for spec, part in ((P(None, "data"), np.asarray(xs)), (P("data"), np.asarray(labels)))
    )


def by_shardings(mesh: jax.sharding.Mesh) -> Callable:
    """Loss and gradient, where XLA finds out from the shardings who computes what."""
    return jax.jit(jax.value_and_grad(GENERATED))


def by_shard_map(mesh: jax.sharding.Mesh) -> Callable:
    """Loss and gradient, where the code says what a device does with its part."""

    def mean(weights: Weights, xs: jax.Array, labels: jax.Array) -> jax.Array:
        return jax.lax.pmean(GENERATED(weights, xs, labels), "data")

    parts = P(), P(None, "data"), P("data")
    return jax.jit(
        jax.shard_map(jax.value_and_grad(mean), mesh=mesh, in_specs=parts, out_specs=P())
    )


def train(style: Callable, updates: int) -> list[float]:
    """Learn on all devices; returns the losses."""
    mesh = mesh_of_all_devices()
    keys = jax.random.split(jax.random.key(0), len(SIZES))
    weights = replicated(mesh, Weights(*map(initial, keys, SIZES.values())))
    optimizer = optax.adam(0.003)
    state = replicated(mesh, optimizer.init(weights))
    value_and_grad = style(mesh)

    @partial(jax.jit, donate_argnums=(0, 1))
    def update(weights, state, xs, labels):
        value, gradient = value_and_grad(weights, xs, labels)
        changes, state = optimizer.update(gradient, state)
        return optax.apply_updates(weights, changes), state, value

    losses = []
    for number in range(updates):
        key = jax.random.fold_in(jax.random.key(1 + jax.process_index()), number)
        weights, state, value = update(weights, state, *divided(mesh, *batch(key)))
        losses.append(float(value))
    return losses


def main(updates: int = 50) -> dict[str, list[float]]:
    """Learn in both styles; returns the losses of each."""
    found = {}
    for style in (by_shardings, by_shard_map):
        losses = found[style.__name__] = train(style, updates)
        print(
            f"{style.__name__}, {jax.device_count()} devices: loss {losses[0]:.3f} at first, "
            f"{losses[-1]:.3f} after {updates} updates"
        )
    return found


if __name__ == "__main__":
    main()
