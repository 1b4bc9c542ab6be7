"""Plain JAX: a training loop with optax and a progress bar, its loss generated with its loop.

python examples/loss_jax.py
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import optax
from rich.progress import track
from spike_trains import GENERATED, PLAIN, SIZES, Weights, batch, initial
from steps import relative_difference


def train(loss: Callable, weights: Weights, updates: int) -> tuple[Weights, list[float]]:
    """Adam for some updates; returns the weights and the losses on the way."""
    optimizer = optax.adam(0.003)

    @jax.jit
    def update(weights, state, xs, labels):
        value, gradient = jax.value_and_grad(loss)(weights, xs, labels)
        changes, state = optimizer.update(gradient, state)
        return optax.apply_updates(weights, changes), state, value

    state, losses = optimizer.init(weights), []
    for key in track(jax.random.split(jax.random.key(1), updates), "training"):
        weights, state, value = update(weights, state, *batch(key))
        losses.append(float(value))
    return weights, losses


def main(updates: int = 100) -> tuple[float, list[float]]:
    """Compare the gradients and learn; returns their relative difference, and the losses."""
    keys = jax.random.split(jax.random.key(0), len(SIZES) + 1)
    weights = Weights(*map(initial, keys, SIZES.values()))
    xs, labels = batch(keys[-1])
    found, expected = (jax.jit(jax.grad(f))(weights, xs, labels) for f in (GENERATED, PLAIN))
    difference = relative_difference(found, expected)
    print(f"gradients differ by {difference:.1e} of the largest entry")
    _, losses = train(GENERATED, weights, updates)
    print(f"loss {losses[0]:.3f} at first, {losses[-1]:.3f} after {updates} updates")
    return difference, losses


if __name__ == "__main__":
    main()
