"""Online learning: a layer learns to fire at given times, without looking back.

    python examples/online.py

The gradient is carried forward by eligibility traces; every step changes nothing but running sums,
so that the memory does not depend on the number of steps. At the end it is compared with
backpropagation through time.
"""

from __future__ import annotations

from types import ModuleType

import jax
import jax.numpy as jnp
from steps import generate, relative_difference

STEPS, PRESYNAPTIC, NEURONS = 200, 40, 10


def task(key: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Presynaptic spikes, when each neuron should fire, and weights to start with."""
    spikes, times, weights = jax.random.split(key, 3)
    activity = jax.random.bernoulli(spikes, 0.05, (STEPS, PRESYNAPTIC)).astype(float)
    target = jax.random.bernoulli(times, 0.04, (STEPS, NEURONS)).astype(float)
    return activity, target, 2.0 * jax.random.normal(weights, (PRESYNAPTIC, NEURONS))


def online_gradient(lif: ModuleType, weights: jax.Array, activity: jax.Array, target: jax.Array):
    """The loss and its gradient, forward in time: shapes () and (presynaptic, neurons)."""

    def step(carry, now):
        (U, I), traces, loss, gradient = carry
        spikes, due = now
        (U, I, z), traces, so_far = lif.lif_step_traces_step(
            traces, (U, I, spikes @ weights), {"S": spikes[:, None]}
        )
        error = z - due
        gradient += error * so_far["2", "S"]
        return ((U, I), traces, loss + 0.5 * jnp.sum(error**2), gradient), None

    rest = (jnp.zeros(NEURONS), jnp.zeros(NEURONS))
    traces = lif.lif_step_traces_init((*rest, rest[0]), {"S": activity[0][:, None]})
    start = (rest, traces, jnp.zeros(()), jnp.zeros_like(weights))
    (_, _, loss, gradient), _ = jax.lax.scan(step, start, (activity, target))
    return loss, gradient


def loss_through_time(lif: ModuleType, weights: jax.Array, activity: jax.Array, target: jax.Array):
    """The same loss, for backpropagation through time."""

    def step(state, now):
        spikes, due = now
        U, I, z = lif.lif_step(*state, spikes @ weights)
        return (U, I), 0.5 * jnp.sum((z - due) ** 2)

    rest = (jnp.zeros(NEURONS), jnp.zeros(NEURONS))
    return jnp.sum(jax.lax.scan(step, rest, (activity, target))[1])


def main(rounds: int = 100) -> tuple[float, list[float]]:
    """Compare the gradients and learn; returns their relative difference, and the losses."""
    lif = generate("models/lif.py", "--emit", "f,traces")
    activity, target, weights = task(jax.random.key(0))
    learn = jax.jit(lambda w: online_gradient(lif, w, activity, target))
    back = jax.grad(lambda w: loss_through_time(lif, w, activity, target))(weights)
    _, forward = learn(weights)
    difference = relative_difference(forward, back)
    print(f"largest difference from backpropagation through time: {difference:.1e} of the gradient")
    losses = []
    for _ in range(rounds):
        loss, gradient = learn(weights)
        losses.append(float(loss))
        weights -= 0.01 * gradient
    print(f"loss {losses[0]:.1f} at first, {losses[-1]:.1f} after {rounds} rounds")
    return difference, losses


if __name__ == "__main__":
    main()
