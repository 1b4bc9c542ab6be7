"""E-prop: a recurrent layer learns online what it hears, with an update after each presentation.

    python examples/online_recurrent.py

A recurrent layer of adaptive neurons is shown one of a few spike patterns, and a readout has to
tell at each step which one it is. The layer's input and recurrent weights learn by traces that keep
within each neuron (`--locality neuron`): what its spikes do to others and what comes back is left
out, which is e-prop (Bellec et al. 2020). Beside it the same network learns by backpropagation
through time. The two gradients differ, and both networks learn.
"""

from __future__ import annotations

from functools import partial
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import optax
from steps import generate, load

STEPS, INPUTS, NEURONS, PATTERNS = 60, 40, 64, 4
RATE = 5e-3

Weights = dict[str, jax.Array]


def task(key: jax.Array) -> tuple[jax.Array, jax.Array, Weights]:
    """Spike patterns, which is which, and weights to start with."""
    spikes, first, second, third = jax.random.split(key, 4)
    patterns = jax.random.bernoulli(spikes, 0.1, (STEPS, PATTERNS, INPUTS)).astype(float)
    weights = {
        "w": jax.random.normal(first, (INPUTS, NEURONS)) / INPUTS**0.5,
        "r": jax.random.normal(second, (NEURONS, NEURONS)) / (4.0 * NEURONS) ** 0.5,
        "out": jax.random.normal(third, (NEURONS, PATTERNS)) / NEURONS**0.5,
    }
    return patterns, jnp.eye(PATTERNS), weights


def loss_of(readout: jax.Array, due: jax.Array) -> jax.Array:
    """The cross-entropy of a step."""
    return -jnp.mean(jnp.sum(due * jax.nn.log_softmax(readout), -1)) / STEPS


def rest(layer: ModuleType) -> Any:
    """The state before the first step."""
    return layer.ALIFState(*(jnp.zeros((PATTERNS, NEURONS)),) * 3)


def online(
    layer: ModuleType, kind: ModuleType, weights: Weights, patterns: jax.Array, due: jax.Array
) -> tuple[jax.Array, Weights]:
    """The loss of a presentation and its gradients, by traces."""
    w, r, out = weights["w"], weights["r"], weights["out"]

    def step(carry: Any, x: jax.Array) -> tuple[Any, None]:
        state, traces, loss, total = carry
        state, traces = layer.alif_recurrent_traces_step(traces, (state, x, w, r))
        now, (of_z, of_out) = jax.value_and_grad(
            lambda z, out: loss_of(z @ out, due), argnums=(0, 1)
        )(state.z, out)
        errors = type(state)(None, None, of_z)
        d_w, d_r = layer.alif_recurrent_traces_vjp(traces, errors)
        found = {"w": d_w, "r": d_r, "out": of_out}
        return (state, traces, loss + now, jax.tree.map(jnp.add, total, found)), None

    state = rest(kind)
    traces = layer.alif_recurrent_traces_init((state, patterns[0], w, r))
    start = state, traces, jnp.zeros(()), jax.tree.map(jnp.zeros_like, weights)
    (_, _, loss, total), _ = jax.lax.scan(step, start, patterns)
    return loss, total


def through_time(
    kind: ModuleType, weights: Weights, patterns: jax.Array, due: jax.Array
) -> jax.Array:
    """The same loss, for backpropagation."""

    def step(state: Any, x: jax.Array) -> tuple[Any, jax.Array]:
        state = kind.alif_recurrent(state, x, weights["w"], weights["r"])
        return state, loss_of(state.z @ weights["out"], due)

    return jnp.sum(jax.lax.scan(step, rest(kind), patterns)[1])


def learned(gradient: Any, weights: Weights, updates: int) -> tuple[list[float], Weights]:
    """The losses while weights are learned, and what they come to."""
    optimizer = optax.adam(RATE)

    @jax.jit
    def update(weights: Weights, state: Any) -> tuple[Weights, Any, jax.Array]:
        loss, found = gradient(weights)
        changes, state = optimizer.update(found, state)
        return optax.apply_updates(weights, changes), state, loss

    state, losses = optimizer.init(weights), []
    for _ in range(updates):
        weights, state, loss = update(weights, state)
        losses.append(float(loss))
    return losses, weights


def likeness(one: jax.Array, other: jax.Array) -> float:
    """The cosine of the angle between two gradients."""
    return float(jnp.vdot(one, other) / jnp.linalg.norm(one) / jnp.linalg.norm(other))


def main(updates: int = 200) -> tuple[dict[str, float], list[float], list[float]]:
    """Learn both ways; returns how alike the first gradients are, and the losses of both."""
    source = "models/layers/alif_recurrent.py"
    chosen = "--wrt", "state,w,r", "--emit", "f,traces", "--locality", "neuron"
    layer, kind = generate(source, *chosen), load(source)
    patterns, due, start = task(jax.random.key(0))
    by_traces = partial(online, layer, kind, patterns=patterns, due=due)
    back = jax.value_and_grad(partial(through_time, kind, patterns=patterns, due=due))
    one, other = by_traces(start)[1], back(start)[1]
    alike = {name: likeness(one[name], other[name]) for name in one}
    for name, cosine in alike.items():
        print(f"gradient of {name}: {cosine:.2f} is the cosine to backpropagation's")
    eprop, _ = learned(by_traces, start, updates)
    behind, _ = learned(back, start, updates)
    print(
        f"cross-entropy {eprop[0]:.2f} at first, after {updates} updates {eprop[-1]:.3f} by e-prop"
    )
    print(f"and {behind[-1]:.3f} by backpropagation")
    return alike, eprop, behind


if __name__ == "__main__":
    main()
