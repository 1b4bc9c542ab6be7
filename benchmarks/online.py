"""Learning online beside backpropagation through time: memory and time over the number of steps.

`python -m benchmarks.online` takes the gradient of a layer of LIF neurons by its input weights, by
eligibility traces and by `jax.grad` of the source. It prints XLA's temporary memory and the time a
step for growing sequences, beside the forward pass alone, and draws docs/_static/online.svg. The
programs take turns in shuffled order, and times are medians. Then come layers with their weights
inside (`benchmarks.online_layers`).

    python -m benchmarks.online                 # everything
    python -m benchmarks.online --layers        # layers with their weights alone
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
from rich.console import Console
from rich.table import Table

from benchmarks.drawing import plotter, save
from benchmarks.online_layers import print_table
from benchmarks.training import Measured, front_of, generated, measure
from gradgen.config import Settings

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "_static" / "online.svg"
STEPS = (100, 300, 1_000, 3_000, 10_000)
PRESYNAPTIC, NEURONS = 64, 128
ROUNDS = 25


def online(lif: ModuleType) -> Callable[..., jax.Array]:
    """The gradient of the squared error of spikes, by eligibility traces."""

    def gradient(weights: jax.Array, activity: jax.Array, target: jax.Array) -> jax.Array:
        def step(carry: Any, now: Any) -> tuple[Any, None]:
            (U, I), traces, gradient = carry  # noqa: E741
            spikes, due = now
            (U, I, z), traces, so_far = lif.lif_step_traces_step(  # noqa: E741
                traces, (U, I, spikes @ weights), {"S": spikes[:, None]}
            )
            return ((U, I), traces, gradient + (z - due) * so_far["2", "S"]), None

        rest = jnp.zeros(NEURONS), jnp.zeros(NEURONS)
        traces = lif.lif_step_traces_init((*rest, rest[0]), {"S": activity[0][:, None]})
        found: jax.Array
        (_, _, found), _ = jax.lax.scan(
            step, (rest, traces, jnp.zeros_like(weights)), (activity, target)
        )
        return found

    return gradient


def loss_of(lif_step: Callable[..., Any]) -> Callable[..., jax.Array]:
    """The same loss, forward in time."""

    def loss(weights: jax.Array, activity: jax.Array, target: jax.Array) -> jax.Array:
        def step(carry: Any, now: Any) -> tuple[Any, None]:
            (U, I), total = carry  # noqa: E741
            spikes, due = now
            U, I, z = lif_step(U, I, spikes @ weights)  # noqa: E741
            return ((U, I), total + 0.5 * jnp.sum((z - due) ** 2)), None

        rest = jnp.zeros(NEURONS), jnp.zeros(NEURONS)
        total: jax.Array = jax.lax.scan(step, (rest, jnp.zeros(())), (activity, target))[0][1]
        return total

    return loss


def measured(
    steps: int, lif: ModuleType, source: Callable[..., Any], rounds: int
) -> dict[str, Measured]:
    """All programs on a sequence of so many steps; AssertionError if the gradients differ."""
    first, second, third = jax.random.split(jax.random.key(0), 3)
    weights = 2.0 * jax.random.normal(first, (PRESYNAPTIC, NEURONS))
    activity = jax.random.bernoulli(second, 0.05, (steps, PRESYNAPTIC)).astype(float)
    target = jax.random.bernoulli(third, 0.04, (steps, NEURONS)).astype(float)
    programs = {
        "forward": loss_of(source),
        "through time": jax.grad(loss_of(source)),
        "online": online(lif),
    }
    found, due = (programs[k](weights, activity, target) for k in ("online", "through time"))
    assert float(jnp.max(jnp.abs(found - due))) <= 1e-4 * float(jnp.max(jnp.abs(due)))
    return measure(programs, (weights, activity, target), rounds)


def picture(found: dict[int, dict[str, Measured]]) -> None:
    """Temporary memory over steps."""
    figure, axis = plotter().subplots(figsize=(6, 3.6), layout="constrained")
    for name, label in (("through time", "jax.grad through time"), ("online", "online, by traces")):
        memory = [points[name].temporary / 1e6 for points in found.values()]
        axis.loglog(list(found), memory, "o-", label=label)
    axis.set(xlabel="steps", ylabel="temporary memory, MB")
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    save(figure, PICTURE)


def main() -> None:
    """Print the tables and draw the picture."""
    parser = argparse.ArgumentParser(description="Learning online beside backpropagation.")
    parser.add_argument("--layers", action="store_true", help="layers with their weights alone")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    if not chosen.layers:
        neurons(chosen.rounds)
    print_table(chosen.rounds)


def neurons(rounds: int) -> None:
    """The table and the picture of a neuron's step with its weights around it."""
    settings = Settings(str(ROOT / "models" / "lif.py"), emit=("f", "traces"))
    lif = generated(settings)
    source = front_of("lif").function
    table = Table(title=f"LIF layer, {PRESYNAPTIC} inputs, {NEURONS} neurons, gradient by weights")
    headings = ("steps", "through time, MB", "online, MB", "forward, us/step")
    for heading in (*headings, "through time, us/step", "online, us/step"):
        table.add_column(heading, justify="right")
    found = {steps: measured(steps, lif, source, rounds) for steps in STEPS}
    for steps, points in found.items():
        memory = (f"{points[k].temporary / 1e6:.2f}" for k in ("through time", "online"))
        times = (
            f"{1e6 * points[k].median / steps:.1f}" for k in ("forward", "through time", "online")
        )
        table.add_row(f"{steps:,}", *memory, *times)
    Console(width=110).print(table)
    picture(found)


if __name__ == "__main__":
    main()
