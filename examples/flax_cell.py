"""Flax NNX: a LIF layer as spyx writes it, with the generated step inside.

    python examples/flax_cell.py

The spike has a backward rule of its own (`jax.custom_gradient`); weights and decay factors are
learned. Every output neuron learns to fire a given number of spikes; first of all the gradient is
compared with the one that goes through the plain step.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from steps import generate, load, relative_difference

SOURCE = "examples/neurons/spyx_lif.py"
STEPS, BATCH, INPUTS, NEURONS = 100, 8, 40, 20


class LIF(nnx.Module):
    """A layer of neurons, called as spyx calls its layers: (x, V) -> (spikes, V)."""

    def __init__(self, step: Callable, neurons: int, rngs: nnx.Rngs):
        self.step = step
        self.beta = nnx.Param(rngs.params.uniform((neurons,), minval=0.5, maxval=0.95))

    def initial_state(self, batch: int) -> jax.Array:
        """At rest."""
        return jnp.zeros((batch, *self.beta.shape))

    def __call__(self, x, V):
        """One step of all neurons."""
        return self.step(x, V, self.beta[...])


class Network(nnx.Module):
    """A linear layer and a layer of neurons."""

    def __init__(self, step: Callable, rngs: nnx.Rngs):
        self.linear = nnx.Linear(INPUTS, NEURONS, rngs=rngs)
        self.neurons = LIF(step, NEURONS, rngs)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Spikes (steps, batch, neurons) of inputs (steps, batch, inputs)."""

        def advance(V, x):
            spikes, V = self.neurons(x, V)
            return V, spikes

        V = self.neurons.initial_state(inputs.shape[1])
        return jax.lax.scan(advance, V, self.linear(inputs))[1]


def loss(network: Network, inputs: jax.Array, target: jax.Array) -> jax.Array:
    """How far the numbers of spikes are from the target (neurons,)."""
    return jnp.mean((jnp.sum(network(inputs), axis=0) - target) ** 2)


def main(rounds: int = 100) -> tuple[float, list[float]]:
    """Compare the gradients and learn; returns their relative difference, and the losses."""
    inputs = jax.random.bernoulli(jax.random.key(0), 0.1, (STEPS, BATCH, INPUTS)).astype(float)
    target = jnp.arange(NEURONS, dtype=float)
    value_and_grad = nnx.jit(nnx.value_and_grad(loss))

    plain = Network(load(SOURCE).lif, nnx.Rngs(0))
    network = Network(generate(SOURCE, "--wrt", "x,V,beta").lif, nnx.Rngs(0))
    _, expected = value_and_grad(plain, inputs, target)
    _, found = value_and_grad(network, inputs, target)
    difference = relative_difference(*map(jax.tree.leaves, (found, expected)))
    print(f"gradients differ by {difference:.1e} of the largest entry")

    optimizer = nnx.Optimizer(network, optax.adam(0.02), wrt=nnx.Param)
    losses = []
    for _ in range(rounds):
        value, gradient = value_and_grad(network, inputs, target)
        optimizer.update(network, gradient)
        losses.append(float(value))
    print(f"loss {losses[0]:.1f} at first, {losses[-1]:.1f} after {rounds} rounds")
    return difference, losses


if __name__ == "__main__":
    main()
