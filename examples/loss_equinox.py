"""Equinox: a network whose loss is generated with its loop over time.

python examples/loss_equinox.py
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import optax
from spike_trains import GENERATED, PLAIN, SIZES, Weights, batch, initial
from steps import relative_difference


class Network(eqx.Module):
    """Two layers of neurons and a readout: its call is the loss."""

    first: jax.Array
    second: jax.Array
    out: jax.Array
    loss: Callable = eqx.field(static=True)

    def __init__(self, loss: Callable, key: jax.Array):
        keys = jax.random.split(key, len(SIZES))
        self.first, self.second, self.out = map(initial, keys, SIZES.values())
        self.loss = loss

    def __call__(self, xs: jax.Array, labels: jax.Array) -> jax.Array:
        """The loss of a batch: the loop over time is in there."""
        return self.loss(Weights(self.first, self.second, self.out), xs, labels)


@eqx.filter_jit
@eqx.filter_value_and_grad
def value_and_grad(network: Network, xs: jax.Array, labels: jax.Array) -> jax.Array:
    """The loss and its gradient, which is a network as well."""
    return network(xs, labels)


def main(updates: int = 100) -> tuple[float, list[float]]:
    """Compare the gradients and learn; returns their relative difference, and the losses."""
    keys = jax.random.split(jax.random.key(0))
    network = Network(GENERATED, keys[0])
    _, found = value_and_grad(network, *batch(keys[1]))
    _, expected = value_and_grad(Network(PLAIN, keys[0]), *batch(keys[1]))
    difference = relative_difference(*map(jax.tree.leaves, (found, expected)))
    print(f"gradients differ by {difference:.1e} of the largest entry")

    optimizer = optax.adam(0.003)
    state, losses = optimizer.init(eqx.filter(network, eqx.is_inexact_array)), []
    for key in jax.random.split(jax.random.key(1), updates):
        value, gradient = value_and_grad(network, *batch(key))
        changes, state = optimizer.update(gradient, state)
        network = eqx.apply_updates(network, changes)
        losses.append(float(value))
    print(f"loss {losses[0]:.3f} at first, {losses[-1]:.3f} after {updates} updates")
    return difference, losses


if __name__ == "__main__":
    main()
