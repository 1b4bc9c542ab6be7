"""Haiku: the loss of a transformed function with its loop over time, generated as it stands.

    python examples/loss_haiku.py

The loss takes the parameters that `init` returns, a dict of dicts, and so does its gradient come.
"""

from __future__ import annotations

import jax
import optax
from spike_trains import batch
from steps import generate, load, relative_difference

SOURCE = "examples/networks/haiku_network.py"


def main(updates: int = 100) -> tuple[float, list[float]]:
    """Compare the gradients and learn; returns their relative difference, and the losses."""
    source = load(SOURCE)
    generated = generate(f"{SOURCE}:loss", "--example", f"{SOURCE}:arguments")
    xs, labels = batch(jax.random.key(2))
    params = source.network.init(jax.random.key(0), xs)

    value_and_grad = jax.jit(jax.value_and_grad(generated.loss))
    _, found = value_and_grad(params, xs, labels)
    difference = relative_difference(found, jax.jit(jax.grad(source.loss))(params, xs, labels))
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
