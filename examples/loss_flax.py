"""Flax NNX: a network whose loss is generated with its loop over time.

    python examples/loss_flax.py

The generated loss takes parameters as an argument, so the module reads them from itself and
passes them on.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import optax
from flax import nnx
from spike_trains import GENERATED, PLAIN, SIZES, Weights, batch, initial
from steps import relative_difference


class Network(nnx.Module):
    """Two layers of neurons and a readout: its call is the loss."""

    def __init__(self, loss: Callable, rngs: nnx.Rngs):
        self.first, self.second, self.out = (
            nnx.Param(initial(rngs.params(), shape)) for shape in SIZES.values()
        )
        self.loss = loss

    def __call__(self, xs: jax.Array, labels: jax.Array) -> jax.Array:
        """The loss of a batch: the loop over time is in there."""
        return self.loss(Weights(self.first[...], self.second[...], self.out[...]), xs, labels)


@nnx.jit
def value_and_grad(network: Network, xs: jax.Array, labels: jax.Array) -> tuple:
    """The loss and its gradient by all parameters."""
    return nnx.value_and_grad(lambda network: network(xs, labels))(network)


@nnx.jit
def update(network: Network, optimizer: nnx.Optimizer, xs: jax.Array, labels: jax.Array):
    """One update, in place; returns the loss."""
    value, gradient = value_and_grad(network, xs, labels)
    optimizer.update(network, gradient)
    return value


def main(updates: int = 100) -> tuple[float, list[float]]:
    """Compare the gradients and learn; returns their relative difference, and the losses."""
    xs, labels = batch(jax.random.key(2))
    network = Network(GENERATED, nnx.Rngs(0))
    _, found = value_and_grad(network, xs, labels)
    _, expected = value_and_grad(Network(PLAIN, nnx.Rngs(0)), xs, labels)
    difference = relative_difference(*map(jax.tree.leaves, (found, expected)))
    print(f"gradients differ by {difference:.1e} of the largest entry")

    optimizer = nnx.Optimizer(network, optax.adam(0.003), wrt=nnx.Param)
    keys = jax.random.split(jax.random.key(1), updates)
    losses = [float(update(network, optimizer, *batch(key))) for key in keys]
    print(f"loss {losses[0]:.3f} at first, {losses[-1]:.3f} after {updates} updates")
    return difference, losses


if __name__ == "__main__":
    main()
