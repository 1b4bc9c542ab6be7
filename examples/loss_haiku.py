"""Haiku: a network whose loss is generated with its loop over time.

python examples/loss_haiku.py
"""

from __future__ import annotations

from collections.abc import Callable

import haiku as hk
import jax
import optax
from spike_trains import GENERATED, PLAIN, SIZES, Weights, batch, initial
from steps import relative_difference


class Network(hk.Module):
    """Two layers of neurons and a readout: its call is the loss."""

    def __init__(self, loss: Callable):
        super().__init__()
        self.loss = loss

    def __call__(self, xs: jax.Array, labels: jax.Array) -> jax.Array:
        """The loss of a batch: the loop over time is in there."""
        weights = {
            name: hk.get_parameter(
                name, shape, init=lambda shape, dtype: initial(hk.next_rng_key(), shape, dtype)
            )
            for name, shape in SIZES.items()
        }
        return self.loss(Weights(**weights), xs, labels)


def transformed(loss: Callable) -> hk.Transformed:
    """Pure functions: `init` for the parameters, `apply` for the loss."""
    return hk.without_apply_rng(hk.transform(lambda xs, labels: Network(loss)(xs, labels)))


def main(updates: int = 100) -> tuple[float, list[float]]:
    """Compare the gradients and learn; returns their relative difference, and the losses."""
    xs, labels = batch(jax.random.key(2))
    plain, network = transformed(PLAIN), transformed(GENERATED)
    params = network.init(jax.random.key(0), xs, labels)
    value_and_grad = jax.jit(jax.value_and_grad(network.apply))
    _, found = value_and_grad(params, xs, labels)
    difference = relative_difference(found, jax.jit(jax.grad(plain.apply))(params, xs, labels))
    print(f"gradients differ by {difference:.1e} of the largest entry")

    optimizer = optax.adam(0.003)
    state, losses = optimizer.init(params), []
    for key in jax.random.split(jax.random.key(1), updates):
        value, gradient = value_and_grad(params, *batch(key))
        changes, state = optimizer.update(gradient, state)
        params = optax.apply_updates(params, changes)
        losses.append(float(value))
    print(f"loss {losses[0]:.3f} at first, {losses[-1]:.3f} after {updates} updates")
    return difference, losses


if __name__ == "__main__":
    main()
