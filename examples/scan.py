"""Plain JAX: the generated step in `jax.lax.scan`, in the place of the source's own.

    python examples/scan.py

One layer of adaptive neurons is driven by weighted inputs; the gradient by the weights is compared
with the one that goes through the plain step.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from steps import generate, load, relative_difference

STEPS, BATCH, INPUTS, NEURONS = 200, 8, 20, 16


def mean_activity(step: Callable, weights: jax.Array, inputs: jax.Array) -> jax.Array:
    """The mean spike of a layer; inputs (steps, batch, inputs), weights (inputs, neurons)."""

    def advance(state, x):
        U, A, spike = step(*state, x @ weights)
        return (U, A), spike

    rest = jnp.zeros((inputs.shape[1], weights.shape[1]))
    _, spikes = jax.lax.scan(advance, (rest, rest), inputs)
    return jnp.mean(spikes)


def main() -> float:
    """Compare the gradients; returns their relative difference."""
    plain = load("models/alif.py").alif_step
    generated = generate("models/alif.py").alif_step
    keys = jax.random.split(jax.random.key(0))
    inputs = jax.random.bernoulli(keys[0], 0.1, (STEPS, BATCH, INPUTS)).astype(float)
    weights = jax.random.normal(keys[1], (INPUTS, NEURONS))
    expected, found = (
        jax.jit(jax.grad(mean_activity, argnums=1), static_argnums=0)(step, weights, inputs)
        for step in (plain, generated)
    )
    difference = relative_difference(found, expected)
    print(f"gradients differ by {difference:.1e} of the largest entry")
    return difference


if __name__ == "__main__":
    main()
