"""Flax NNX: the loss of a network with its loop over time, generated from the network itself.

    python examples/loss_flax.py

The loss takes the network's state, as `nnx.split` and `nnx.state` return it, and so does its
gradient come.
"""

from __future__ import annotations

import jax
import optax
from flax import nnx
from spike_trains import batch
from steps import generate, load, relative_difference

SOURCE = "examples/networks/nnx_network.py"


def main(updates: int = 100) -> tuple[float, list[float]]:
    """Compare the gradients and learn; returns their relative difference, and the losses."""
    source = load(SOURCE)
    generated = generate(f"{SOURCE}:loss", "--example", f"{SOURCE}:arguments")
    network = source.Network((20, 32, 32), 2, nnx.Rngs(0))
    state = nnx.state(network)

    value_and_grad = jax.jit(jax.value_and_grad(generated.loss))
    _, found = value_and_grad(state, *batch(jax.random.key(2)))
    expected = jax.jit(jax.grad(source.loss))(state, *batch(jax.random.key(2)))
    difference = relative_difference(found, expected)
    print(f"gradients differ by {difference:.1e} of the largest entry")

    optimizer = nnx.Optimizer(network, optax.adam(0.003), wrt=nnx.Param)
    losses = []
    for key in jax.random.split(jax.random.key(1), updates):
        value, gradient = value_and_grad(nnx.state(network), *batch(key))
        optimizer.update(network, gradient)
        losses.append(float(value))
    print(f"loss {losses[0]:.3f} at first, {losses[-1]:.3f} after {updates} updates")
    return difference, losses


if __name__ == "__main__":
    main()
