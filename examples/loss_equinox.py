"""Equinox: the loss of a module with its loops over time, generated from the module itself.

    python examples/loss_equinox.py

The loss takes the module, and its gradient is a module of the same class.
"""

from __future__ import annotations

import equinox as eqx
import jax
import optax
from spike_trains import batch
from steps import generate, load, relative_difference

SOURCE = "examples/networks/equinox_network.py"


def main(updates: int = 100) -> tuple[float, list[float]]:
    """Compare the gradients and learn; returns their relative difference, and the losses."""
    source = load(SOURCE)
    generated = generate(f"{SOURCE}:loss", "--example", f"{SOURCE}:arguments")
    network = source.Network(jax.random.key(0))

    value_and_grad = eqx.filter_jit(eqx.filter_value_and_grad(generated.loss))
    _, found = value_and_grad(network, *batch(jax.random.key(2)))
    expected = eqx.filter_jit(eqx.filter_grad(source.loss))(network, *batch(jax.random.key(2)))
    difference = relative_difference(found, expected)
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
