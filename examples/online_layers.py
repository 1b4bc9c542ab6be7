"""Online learning of a layer with its weights inside: spike patterns, with an update at every step.

    python examples/online_layers.py

A layer of leaky neurons learns to fire at given times for given input spikes. It does so once by
backpropagation through time, with an update after each presentation of a pattern, and once online:
traces are carried from step to step, and each step's error changes the weights at once, so that
nothing of the steps before is kept.
"""

from __future__ import annotations

from types import ModuleType

import jax
import jax.numpy as jnp
from steps import generate, relative_difference

STEPS, BATCH, INPUTS, NEURONS = 100, 4, 50, 10
RATE = 0.01


def task(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Input spikes, when each neuron should fire, and weights to start with."""
    spikes, times, weights = jax.random.split(key, 3)
    activity = jax.random.bernoulli(spikes, 0.1, (STEPS, BATCH, INPUTS)).astype(float)
    target = jax.random.bernoulli(times, 0.05, (STEPS, BATCH, NEURONS)).astype(float)
    return activity, target, 0.7 * jax.random.normal(weights, (INPUTS, NEURONS))


def present(layer: ModuleType, w: jax.Array, activity: jax.Array, target: jax.Array, rate: float):
    """The loss of a presentation, the sum of its gradients, and the weights after it."""

    def step(carry, now):
        state, traces, w, loss, total = carry
        x, due = now
        state, traces = layer.lif_layer_traces_step(traces, (*state, x, w))
        error = state[2] - due
        (gradient,) = layer.lif_layer_traces_vjp(traces, (None, None, error))
        loss += 0.5 * jnp.sum(error**2)
        return (state, traces, w - rate * gradient, loss, total + gradient), None

    rest = (jnp.zeros((BATCH, NEURONS)),) * 3
    traces = layer.lif_layer_traces_init((*rest, activity[0], w))
    start = rest, traces, w, jnp.zeros(()), jnp.zeros_like(w)
    (_, _, w, loss, total), _ = jax.lax.scan(step, start, (activity, target))
    return loss, total, w


def through_time(layer: ModuleType, w: jax.Array, activity: jax.Array, target: jax.Array):
    """The same loss, for backpropagation."""

    def step(state, now):
        x, due = now
        state = layer.lif_layer(*state, x, w)
        return state, 0.5 * jnp.sum((state[2] - due) ** 2)

    rest = (jnp.zeros((BATCH, NEURONS)),) * 3
    return jnp.sum(jax.lax.scan(step, rest, (activity, target))[1])


def main(rounds: int = 100) -> tuple[float, list[float], list[float]]:
    """Learn both ways; returns the difference of the gradients, and the losses of both."""
    emit = "--emit", "f,traces"
    layer = generate("models/layers/lif_layer.py", "--wrt", "v,i,z,w", *emit)
    activity, target, start = task(jax.random.key(0))
    learn = jax.jit(lambda w, rate: present(layer, w, activity, target, rate))
    back = jax.jit(jax.value_and_grad(lambda w: through_time(layer, w, activity, target)))
    difference = relative_difference(learn(start, 0.0)[1], back(start)[1])
    print(f"largest difference from backpropagation through time: {difference:.1e} of the gradient")
    online, behind = [], []
    w, v = start, start
    for _ in range(rounds):
        loss, _, w = learn(w, RATE)
        online.append(float(loss))
        loss, gradient = back(v)
        behind.append(float(loss))
        v -= RATE * gradient
    print(f"loss {behind[0]:.1f} at first, after {rounds} presentations {online[-1]:.1f} online")
    print(f"and {behind[-1]:.1f} by backpropagation")
    return difference, online, behind


if __name__ == "__main__":
    main()
