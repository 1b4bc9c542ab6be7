"""Beside a library: the gradient of `benchmarks.online_layers` by braintrace, in one run.

braintrace is no dependency; it takes an environment of its own, and the generated file, which
needs JAX alone:

    gradgen models/layers/lif_layer.py -o lif_traces.py --wrt v,i,z,w --emit f,traces
    python3.12 -m venv rival && rival/bin/pip install braintrace
    rival/bin/python benchmarks/online_braintrace.py lif_traces.py

Printed are processor time a step, its ratio to `jax.grad` through time, and how far the gradient is
from that. Programs take turns in shuffled order; times are medians.
"""

from __future__ import annotations

import random
import runpy
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import brainstate
import braintrace
import jax
import jax.numpy as jnp
from jax import lax

INPUTS, NEURONS, STEPS = 700, 256, 20
A, B, TH = 0.95, 0.9, 1.0


@jax.custom_jvp
def spike(x):
    """Heaviside step of x, differentiated as 1 / (1 + 10 |x|)^2."""
    return (x > 0.0).astype(x.dtype)


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,), (x_dot,) = primals, tangents
    return spike(x), x_dot / (10.0 * jnp.abs(x) + 1.0) ** 2


class Layer(brainstate.nn.Module):
    """The layer in `models/layers/lif_layer.py`."""

    def __init__(self, w: jax.Array) -> None:
        super().__init__()
        self.w = brainstate.ParamState(w)

    def init_state(self, batch_size: int | None = None, **_: Any) -> None:
        """At rest."""
        shape = (NEURONS,) if batch_size is None else (batch_size, NEURONS)
        self.v = brainstate.HiddenState(jnp.zeros(shape))
        self.i = brainstate.HiddenState(jnp.zeros(shape))
        self.z = brainstate.ShortTermState(jnp.zeros(shape))

    def update(self, x: jax.Array) -> jax.Array:
        """A step; its spikes."""
        i = B * self.i.value + braintrace.matmul(x, self.w.value)
        v = A * self.v.value + (1.0 - A) * i - TH * lax.stop_gradient(self.z.value)
        z = spike(v - TH)
        self.i.value, self.v.value, self.z.value = i, v, lax.stop_gradient(z)
        return z


def through_time(w: jax.Array, xs: jax.Array, due: jax.Array) -> jax.Array:
    """By `jax.grad`."""

    def loss(w: jax.Array) -> jax.Array:
        def step(carry: Any, now: Any) -> tuple[Any, jax.Array]:
            v, i, z = carry
            i = B * i + now[0] @ w
            v = A * v + (1.0 - A) * i - TH * lax.stop_gradient(z)
            z = spike(v - TH)
            return (v, i, z), 0.5 * jnp.sum((z - now[1]) ** 2)

        return lax.scan(step, (jnp.zeros(due.shape[1:]),) * 3, (xs, due))[1].sum()

    return jax.grad(loss)(w)


def by_gradgen(path: str) -> Callable[..., jax.Array]:
    """By the generated traces."""
    made = runpy.run_path(path)
    start, moved, pulled = (made[f"lif_layer_traces_{end}"] for end in ("init", "step", "vjp"))

    def gradient(w: jax.Array, xs: jax.Array, due: jax.Array) -> jax.Array:
        def step(carry: Any, now: Any) -> tuple[Any, None]:
            state, traces, total = carry
            state, traces = moved(traces, (*state, now[0], w))
            (found,) = pulled(traces, (None, None, state[2] - now[1]))
            return (state, traces, total + found), None

        rest = (jnp.zeros(due.shape[1:]),) * 3
        traces = start((*rest, xs[0], w))
        return lax.scan(step, (rest, traces, jnp.zeros_like(w)), (xs, due))[0][2]

    return gradient


def by_braintrace(batch: int, **chosen: Any) -> Callable[..., jax.Array]:
    """By its D-RTRL."""

    def gradient(w: jax.Array, xs: jax.Array, due: jax.Array) -> jax.Array:
        model = Layer(w)
        learner = braintrace.compile(model, braintrace.D_RTRL, xs[0], batch_size=batch, **chosen)

        def loss(x: jax.Array, target: jax.Array) -> jax.Array:
            return 0.5 * jnp.sum((learner(x) - target) ** 2)

        found = learner.etrace_grad(xs, due, step_fn=loss, reduction="sum")
        found = found[0] if isinstance(found, tuple) else found
        (gradient,) = jax.tree.leaves(found)
        return gradient

    return gradient


def main(path: str, rounds: int = 5) -> None:
    """Print the table."""
    for batch in (32, 1):
        first, second, third = jax.random.split(jax.random.key(0), 3)
        w = 4.0 * jax.random.normal(first, (INPUTS, NEURONS)) / INPUTS**0.5
        xs = jax.random.bernoulli(second, 0.05, (STEPS, batch, INPUTS)).astype(float)
        due = jax.random.bernoulli(third, 0.05, (STEPS, batch, NEURONS)).astype(float)
        programs = {
            "through time": jax.jit(through_time),
            "gradgen": jax.jit(by_gradgen(path)),
            "braintrace D_RTRL": jax.jit(by_braintrace(batch)),
            "the same, multi-step": jax.jit(by_braintrace(batch, vjp_method="multi-step")),
        }
        wanted = programs["through time"](w, xs, due)
        off = {
            name: float(jnp.abs(program(w, xs, due) - wanted).max() / jnp.abs(wanted).max())
            for name, program in programs.items()
        }
        seconds: dict[str, list[float]] = {name: [] for name in programs}
        shuffled = random.Random(0)
        for _ in range(rounds):
            for name in shuffled.sample(list(programs), len(programs)):
                start = time.process_time()
                jax.block_until_ready(programs[name](w, xs, due))
                seconds[name].append(time.process_time() - start)
        for name, one in seconds.items():
            ratio = statistics.median(
                a / b for a, b in zip(one, seconds["through time"], strict=True)
            )
            shown = f"{1e6 * statistics.median(one) / STEPS:,.0f} us a step, {ratio:.1f}"
            print(f"batch {batch}, {name}: {shown} of through time, off by {off[name]:.0e}")


if __name__ == "__main__":
    main(sys.argv[1])
