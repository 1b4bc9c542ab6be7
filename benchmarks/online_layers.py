"""Learning the weights of a layer online, beside backpropagation through time and by hand.

The gradient of the squared error of spikes at each step, by the weights of the feed-forward layer
in `models/layers/lif_layer.py`: by the generated traces, by `jax.grad` of the source through time,
by traces that a person writes who has seen along which axes they vary, and by a trace for each
synapse and example, which is what tools make that do not look at axes. Times are those of the
processors, all of them together.
"""

from __future__ import annotations

import statistics
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from rich.console import Console
from rich.table import Table

from benchmarks.training import Measured, measure
from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_programs import array_module
from gradgen.compile.front import open_front
from gradgen.config import Settings
from gradgen.targets.jax.render import render_arrays
from gradgen.verify.isolate import load

ROOT = Path(__file__).resolve().parent.parent
SOURCE = ROOT / "models" / "layers" / "lif_layer.py"
INPUTS, NEURONS = 700, 256
BATCHES = (32, 1)
STEPS = (100, 1_000)
A, B, TH = 0.95, 0.9, 1.0

Program = Callable[..., jax.Array]


def front() -> ArrayFront:
    """The source, traced, with the weights to be learned."""
    wrt = (("wrt", "v, i, z, w"),)
    found = open_front(Settings(str(SOURCE), directives=wrt, emit=("f", "traces")))
    assert isinstance(found, ArrayFront)
    return found


def through_time(layer: Callable[..., Any]) -> Program:
    """By `jax.grad`."""

    def loss(w: jax.Array, xs: jax.Array, due: jax.Array) -> jax.Array:
        def step(carry: Any, now: Any) -> tuple[Any, jax.Array]:
            x, target = now
            carry = layer(*carry, x, w)
            return carry, 0.5 * jnp.sum((carry[2] - target) ** 2)

        rest = (jnp.zeros(due.shape[1:]),) * 3
        return lax.scan(step, rest, (xs, due))[1].sum()

    return jax.grad(loss)


def online(generated: types.ModuleType) -> Program:
    """By the generated traces."""

    def gradient(w: jax.Array, xs: jax.Array, due: jax.Array) -> jax.Array:
        def step(carry: Any, now: Any) -> tuple[Any, None]:
            state, traces, total = carry
            x, target = now
            state, traces = generated.lif_layer_traces_step(traces, (*state, x, w))
            errors = None, None, state[2] - target
            (found,) = generated.lif_layer_traces_vjp(traces, errors)
            return (state, traces, total + found), None

        rest = (jnp.zeros(due.shape[1:]),) * 3
        traces = generated.lif_layer_traces_init((*rest, xs[0], w))
        return lax.scan(step, (rest, traces, jnp.zeros_like(w)), (xs, due))[0][2]

    return gradient


def by_hand(w: jax.Array, xs: jax.Array, due: jax.Array) -> jax.Array:
    """The traces of the weights have the presynaptic axis alone; errors meet one in a product."""

    def step(carry: Any, now: Any) -> tuple[Any, None]:
        v, i, z, of_i, of_v, total = carry
        x, target = now
        i = B * i + x @ w
        v = A * v + (1.0 - A) * i - TH * z
        z = (v > TH).astype(v.dtype)
        of_i = B * of_i + x
        of_v = A * of_v + (1.0 - A) * of_i
        error = (z - target) / (10.0 * jnp.abs(v - TH) + 1.0) ** 2
        return (v, i, z, of_i, of_v, total + of_v.T @ error), None

    rest, none = jnp.zeros(due.shape[1:]), jnp.zeros(xs.shape[1:])
    start = rest, rest, rest, none, none, jnp.zeros_like(w)
    return lax.scan(step, start, (xs, due))[0][-1]


def by_synapse(w: jax.Array, xs: jax.Array, due: jax.Array) -> jax.Array:
    """A trace for each synapse and example."""

    def step(carry: Any, now: Any) -> tuple[Any, None]:
        v, i, z, of_i, of_v, total = carry
        x, target = now
        i = B * i + x @ w
        v = A * v + (1.0 - A) * i - TH * z
        z = (v > TH).astype(v.dtype)
        of_i = B * of_i + x[:, :, None]
        of_v = A * of_v + (1.0 - A) * of_i
        error = (z - target) / (10.0 * jnp.abs(v - TH) + 1.0) ** 2
        return (v, i, z, of_i, of_v, total + jnp.einsum("bn,bmn->mn", error, of_v)), None

    rest = jnp.zeros(due.shape[1:])
    none = jnp.zeros((*xs.shape[1:], w.shape[1]))
    return lax.scan(step, (rest, rest, rest, none, none, jnp.zeros_like(w)), (xs, due))[0][-1]


def measured(
    batch: int, steps: int, programs: dict[str, Program], rounds: int
) -> dict[str, Measured]:
    """All programs on one sequence; AssertionError if their gradients differ."""
    first, second, third = jax.random.split(jax.random.key(0), 3)
    w = 4.0 * jax.random.normal(first, (INPUTS, NEURONS)) / INPUTS**0.5
    xs = jax.random.bernoulli(second, 0.05, (steps, batch, INPUTS)).astype(float)
    due = jax.random.bernoulli(third, 0.05, (steps, batch, NEURONS)).astype(float)
    wanted = programs["through time"](w, xs, due)
    for program in programs.values():
        found = program(w, xs, due)
        assert float(jnp.max(jnp.abs(found - wanted))) <= 1e-4 * float(jnp.max(jnp.abs(wanted)))
    return measure(programs, (w, xs, due), rounds, time.process_time)


def print_table(rounds: int) -> None:
    """Processor time a step and temporary memory; ratios are medians over rounds."""
    source = front()
    programs: dict[str, Program] = {
        "through time": through_time(source.function),
        "by hand": by_hand,
        "gradgen": online(load(render_arrays(array_module(source)))),
    }
    table = Table(title=f"LIF layer, {INPUTS} inputs, {NEURONS} neurons, weights learned online")
    for heading in ("batch", "steps", "program", "a step", "to by hand", "to through time", "MB"):
        table.add_column(heading, justify="right")
    for batch in BATCHES:
        for steps in STEPS:
            chosen = programs | ({"a trace a synapse": by_synapse} if steps == STEPS[0] else {})
            found = measured(batch, steps, chosen, rounds)
            for name, one in found.items():
                ratios = (
                    statistics.median(
                        a / b for a, b in zip(one.seconds, found[base].seconds, strict=True)
                    )
                    for base in ("by hand", "through time")
                )
                table.add_row(
                    str(batch),
                    f"{steps:,}",
                    name,
                    f"{1e6 * one.median / steps:,.1f} us",
                    *(f"{ratio:.2f}" for ratio in ratios),
                    f"{one.temporary / 1e6:.2f}",
                )
    Console(width=110).print(table)
