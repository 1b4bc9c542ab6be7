"""Haiku: a layer of LIF neurons as an `RNNCore`, with the generated step inside.

    python examples/haiku_core.py

The core is unrolled by `hk.dynamic_unroll`; weights, membrane decay and threshold are learned. The
layer learns to fire a given number of spikes; first of all the gradient is compared with the one
that goes through the plain step.
"""

from __future__ import annotations

from collections.abc import Callable

import haiku as hk
import jax
import jax.numpy as jnp
import optax
from steps import generate, load, relative_difference

SOURCE = "models/lif_reset.py"
WRT = "U,I,S,a,threshold"
STEPS, BATCH, INPUTS, NEURONS = 100, 8, 40, 20


class LIF(hk.RNNCore):
    """A layer of neurons: (inputs, state) -> (spikes, state)."""

    def __init__(self, step: Callable, neurons: int, name: str = "lif"):
        super().__init__(name=name)
        self.step = step
        self.neurons = neurons

    def initial_state(self, batch_size):
        """At rest."""
        return (jnp.zeros((batch_size, self.neurons)),) * 2

    def __call__(self, inputs, state):
        """One step of all neurons."""
        current = hk.Linear(self.neurons, w_init=hk.initializers.RandomNormal(1.0))(inputs)
        a = hk.get_parameter("a", (self.neurons,), init=hk.initializers.Constant(0.95))
        threshold = hk.get_parameter("threshold", (), init=jnp.ones)
        U, I, spikes = self.step(*state, current, a=a, threshold=threshold)
        return spikes, (U, I)


def network(step: Callable) -> hk.Transformed:
    """From inputs (steps, batch, inputs) to spikes (steps, batch, neurons)."""

    def forward(inputs: jax.Array) -> jax.Array:
        core = LIF(step, NEURONS)
        spikes, _ = hk.dynamic_unroll(core, inputs, core.initial_state(inputs.shape[1]))
        return spikes

    return hk.without_apply_rng(hk.transform(forward))


def main(rounds: int = 100) -> tuple[float, list[float]]:
    """Compare the gradients and learn; returns their relative difference, and the losses."""
    keys = jax.random.split(jax.random.key(0))
    inputs = jax.random.bernoulli(keys[0], 0.1, (STEPS, BATCH, INPUTS)).astype(float)
    target = jnp.arange(NEURONS, dtype=float)

    def value_and_grad(step: Callable) -> Callable:
        def loss(parameters: hk.Params) -> jax.Array:
            spikes = network(step).apply(parameters, inputs)
            return jnp.mean((jnp.sum(spikes, axis=0) - target) ** 2)

        return jax.jit(jax.value_and_grad(loss))

    plain = load(SOURCE).lif_reset_step
    generated = generate(SOURCE, "--wrt", WRT).lif_reset_step
    parameters = network(generated).init(keys[1], inputs)
    learn = value_and_grad(generated)
    _, expected = value_and_grad(plain)(parameters)
    _, found = learn(parameters)
    difference = relative_difference(found, expected)
    print(f"gradients differ by {difference:.1e} of the largest entry")

    optimizer = optax.adam(0.02)
    state = optimizer.init(parameters)
    losses = []
    for _ in range(rounds):
        value, gradient = learn(parameters)
        updates, state = optimizer.update(gradient, state)
        parameters = optax.apply_updates(parameters, updates)
        losses.append(float(value))
    print(f"loss {losses[0]:.1f} at first, {losses[-1]:.1f} after {rounds} rounds")
    return difference, losses


if __name__ == "__main__":
    main()
