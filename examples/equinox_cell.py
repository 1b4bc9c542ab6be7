"""Equinox: a LIF layer as snnax writes it, with the generated step inside.

    python examples/equinox_cell.py

Weights, decay factors and threshold are learned, so the step is generated with `--wrt` for the
parameters too. A population learns to fire at given times; first of all the gradient is compared
with the one that goes through the plain step.
"""

from __future__ import annotations

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from steps import generate, load, relative_difference

SOURCE = "examples/neurons/snnax_lif.py"
WRT = "state,synaptic_input,alpha,beta,threshold"
STEPS, INPUTS, NEURONS = 100, 40, 20


class LIF(eqx.Module):
    """A layer of neurons, called as snnax calls its layers: (state, input) -> [state, spike]."""

    decay_constants: jax.Array
    threshold: jax.Array
    step: Callable = eqx.field(static=True)

    def __init__(self, step: Callable, neurons: int):
        self.decay_constants = jnp.full((2, neurons), 0.9)
        self.threshold = jnp.array(1.0)
        self.step = step

    def init_state(self) -> list[jax.Array]:
        """At rest."""
        return [jnp.zeros(self.decay_constants.shape[1])] * 3

    def __call__(self, state, synaptic_input, *, key=None):
        """One step of all neurons."""
        alpha, beta = self.decay_constants
        return self.step(state, synaptic_input, alpha, beta, self.threshold)


class Network(eqx.Module):
    """A linear layer and a layer of neurons."""

    linear: eqx.nn.Linear
    neurons: LIF

    def __init__(self, step: Callable, key: jax.Array):
        self.linear = eqx.nn.Linear(INPUTS, NEURONS, key=key)
        self.neurons = LIF(step, NEURONS)

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Spikes (steps, neurons) of inputs (steps, inputs)."""

        def advance(state, x):
            state, spike = self.neurons(state, self.linear(x))
            return state, spike

        return jax.lax.scan(advance, self.neurons.init_state(), inputs)[1]


def loss(network: Network, inputs: jax.Array, target: jax.Array) -> jax.Array:
    """How far the population's activity is from the target (steps,)."""
    return jnp.mean((jnp.mean(network(inputs), axis=1) - target) ** 2)


def main(rounds: int = 100) -> tuple[float, list[float]]:
    """Compare the gradients and learn; returns their relative difference, and the losses."""
    keys = jax.random.split(jax.random.key(0))
    inputs = 10.0 * jax.random.bernoulli(keys[0], 0.1, (STEPS, INPUTS)).astype(float)
    target = (jnp.arange(STEPS) % 25 > 20).astype(float)
    value_and_grad = eqx.filter_jit(eqx.filter_value_and_grad(loss))

    plain = Network(load(SOURCE).lif, keys[1])
    network = Network(generate(SOURCE, "--wrt", WRT).lif, keys[1])
    _, expected = value_and_grad(plain, inputs, target)
    _, found = value_and_grad(network, inputs, target)
    difference = relative_difference(*map(jax.tree.leaves, (found, expected)))
    print(f"gradients differ by {difference:.1e} of the largest entry")

    optimizer = optax.adam(0.02)
    state = optimizer.init(eqx.filter(network, eqx.is_inexact_array))
    losses = []
    for _ in range(rounds):
        value, gradient = value_and_grad(network, inputs, target)
        updates, state = optimizer.update(gradient, state)
        network = eqx.apply_updates(network, updates)
        losses.append(float(value))
    print(f"loss {losses[0]:.3f} at first, {losses[-1]:.3f} after {rounds} rounds")
    return difference, losses


if __name__ == "__main__":
    main()
