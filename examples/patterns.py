"""Training on spike patterns: plainly, with the generated step, and with the whole loss generated.

    python examples/patterns.py            # prints the tables, draws docs/_static/patterns.svg
    python examples/patterns.py --quick    # the same for a few updates, without the picture

A network of two layers of neurons has to tell which of a few spike patterns it was shown. A pattern
says when each input channel fires; every time it is shown, the spikes are jittered anew and some
are left out. Four copies of the network learn side by side: with the source's step, with
`jax.checkpoint` of it, with the step that gradgen generated, and with the loss that it generated
with its loop over time (`examples/networks/*_patterns.py`). They see the same patterns, and the
order in which they are updated is shuffled every time, so that their times can be compared.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import optax
from rich.console import Console
from rich.table import Table
from steps import load

CHANNELS, SPIKES = 40, 3
PICTURE = Path(__file__).resolve().parent.parent / "docs" / "_static" / "patterns.svg"

State = tuple[jax.Array, ...]
Advance = Callable[[Callable, State, jax.Array], tuple[State, jax.Array]]


@dataclass(frozen=True)
class Task:
    """A neuron model, how a layer uses it, and what is learned."""

    title: str
    model: str
    rest: tuple[float, ...]
    advance: Advance
    """From the step, the state and the input current to the new state and what is sent on."""
    gains: tuple[float, float]
    """Standard deviations of the weights of the two layers, times the root of their inputs."""
    steps: int
    neurons: int
    patterns: int
    updates: int
    rate: float
    """The learning rate."""
    batch: int = 32
    double: bool = False
    """Whether to compute in float64."""


@dataclass
class Run:
    """A network that learns, and what was seen at each update."""

    update: Any
    """Compiled: from weights with the optimizer's state, currents and labels to the next ones."""
    learned: Any
    memory: int
    """XLA's temporary memory for an update, in bytes."""
    losses: list[float] = field(default_factory=list)
    hits: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


def advance_alif(step: Callable, state: State, current: jax.Array) -> tuple[State, jax.Array]:
    """An adaptive LIF neuron sends on its spike."""
    U, A, spike = step(*state, current)
    return (U, A), spike


def advance_membrane(step: Callable, state: State, current: jax.Array) -> tuple[State, jax.Array]:
    """A Hodgkin-Huxley neuron releases transmitter while its membrane is depolarised."""
    state = step(*state, current)
    return state, jax.nn.sigmoid((state[0] + 40.0) / 10.0)


TASKS = (
    Task(
        title="Adaptive LIF neurons",
        model="alif",
        rest=(0.0, 0.0),
        advance=advance_alif,
        gains=(1.0, 1.0),
        steps=200,
        neurons=128,
        patterns=8,
        updates=100,
        rate=0.003,
    ),
    # in float64, because the textbook rates are 0/0 at single potentials, which float32 hits
    Task(
        title="Hodgkin-Huxley neurons",
        model="hodgkin_huxley",
        rest=(-65.0, 0.053, 0.596, 0.318),
        advance=advance_membrane,
        gains=(15.0, 10.0),
        steps=600,
        neurons=32,
        patterns=4,
        updates=50,
        rate=0.05,
        double=True,
    ),
)


@partial(jax.jit, static_argnums=0)
def show(task: Task, key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """A batch of currents (steps, batch, channels) and the patterns that they show (batch,).

    Every spike starts a current of 1 that decays over a twentieth of the time.
    """
    fixed = jax.random.key(0)  # the patterns are the same in every batch
    shape = (task.patterns, CHANNELS, SPIKES)
    times = jax.random.uniform(fixed, shape, maxval=0.8 * task.steps)
    which, jitter, left = jax.random.split(key, 3)
    labels = jax.random.randint(which, (task.batch,), 0, task.patterns)
    times = times[labels]
    times += 0.02 * task.steps * jax.random.normal(jitter, times.shape)
    kept = jax.random.bernoulli(left, 0.8, times.shape)
    since = jnp.arange(task.steps)[:, None, None, None] - times
    current = jnp.where(kept & (since >= 0.0), jnp.exp(-20.0 * since / task.steps), 0.0)
    return jnp.sum(current, axis=-1), labels


@partial(jax.jit, static_argnums=0)
def weights(task: Task, key: jax.Array) -> dict[str, jax.Array]:
    """Random weights to begin with."""
    first, second, last = jax.random.split(key, 3)

    def normal(key: jax.Array, gain: float, shape: tuple[int, int]) -> jax.Array:
        return gain / shape[0] ** 0.5 * jax.random.normal(key, shape)

    return {
        "first": normal(first, task.gains[0], (CHANNELS, task.neurons)),
        "second": normal(second, task.gains[1], (task.neurons, task.neurons)),
        "readout": normal(last, 1.0, (task.neurons, task.patterns)),
    }


def evidence(task: Task, step: Callable, w: Any, currents: jax.Array) -> jax.Array:
    """The readout's sum over time: (batch, patterns)."""

    def advance(states: tuple[State, State], current: jax.Array) -> tuple[Any, jax.Array]:
        lower, sent = task.advance(step, states[0], current @ w["first"])
        upper, sent = task.advance(step, states[1], sent @ w["second"])
        return (lower, upper), sent @ w["readout"]

    rest = tuple(jnp.full((currents.shape[1], task.neurons), x) for x in task.rest)
    _, outputs = jax.lax.scan(advance, (rest, rest), currents)
    return 10.0 * jnp.mean(outputs, axis=0)


def by_step(task: Task, step: Callable) -> Callable:
    """Loss and hits with their gradient, by JAX, of a network with this step."""

    def loss(w: Any, currents: jax.Array, labels: jax.Array) -> tuple[jax.Array, jax.Array]:
        found = evidence(task, step, w, currents)
        entropy = optax.softmax_cross_entropy_with_integer_labels(found, labels)
        return jnp.mean(entropy), jnp.mean(jnp.argmax(found, axis=1) == labels)

    return jax.value_and_grad(loss, has_aux=True)


def start(task: Task, value_and_grad: Callable) -> Run:
    """A network that learns by this gradient, its update compiled."""
    optimizer = optax.adam(task.rate)

    def update(learned: Any, currents: jax.Array, labels: jax.Array) -> tuple[Any, Any]:
        w, state = learned
        result, gradient = value_and_grad(w, currents, labels)
        changes, state = optimizer.update(gradient, state)
        return (optax.apply_updates(w, changes), state), result

    w = weights(task, jax.random.key(1))
    learned = w, optimizer.init(w)
    batch = jax.eval_shape(partial(show, task), jax.random.key(2))
    compiled = jax.jit(update).lower(learned, *batch).compile()
    return Run(compiled, learned, compiled.memory_analysis().temp_size_in_bytes)


def learn(task: Task) -> dict[str, Run]:
    """Train the four networks side by side."""
    plain = getattr(load(f"models/{task.model}.py"), f"{task.model}_step")
    generated = getattr(load(f"generated/{task.model}_grad.py"), f"{task.model}_step")
    whole = load(f"generated/examples/{task.model}_patterns_grad.py")

    def by_whole(*given: Any) -> tuple[Any, Any]:
        result, (gradient,) = getattr(whole, f"{task.model}_patterns_value_and_grad")(*given)
        return result, gradient

    runs = {
        "plain step": start(task, by_step(task, plain)),
        "jax.checkpoint of it": start(task, by_step(task, jax.checkpoint(plain))),
        "generated step": start(task, by_step(task, generated)),
        "generated loss": start(task, by_whole),
    }
    order = random.Random(0)
    for key in jax.random.split(jax.random.key(3), task.updates):
        batch = jax.block_until_ready(show(task, key))
        for run in order.sample(list(runs.values()), len(runs)):
            began = time.perf_counter()
            run.learned, (loss, hits) = jax.block_until_ready(run.update(run.learned, *batch))
            run.seconds.append(time.perf_counter() - began)
            run.losses.append(float(loss))
            run.hits.append(float(hits))
    return runs


def difference(runs: dict[str, Run], name: str) -> float:
    """The largest difference of a loss from the plain step's, relative to it."""
    pairs = zip(runs[name].losses, runs["plain step"].losses, strict=True)
    return max(abs(found - expected) / expected for found, expected in pairs)


def ratio(runs: dict[str, Run], name: str) -> float:
    """The median over the updates of the time, over the plain step's at the same update."""
    pairs = zip(runs[name].seconds, runs["plain step"].seconds, strict=True)
    return statistics.median(found / plain for found, plain in pairs)


def table(task: Task, runs: dict[str, Run]) -> Table:
    """A row for each network."""
    last = -(-task.updates // 10)
    dtype = "float64" if task.double else "float32"
    shown = Table(
        title=f"{task.title}: 2 x {task.neurons}, {task.steps} steps, batches of {task.batch},"
        f" {task.updates} updates, {dtype}"
    )
    shown.add_column("", no_wrap=True)
    headings = ("ms", "to plain", "XLA temp MB", "first loss", "last", "hits", "loss off by")
    for heading in headings:
        shown.add_column(heading, justify="right")
    for name, run in runs.items():
        shown.add_row(
            *(name, f"{1e3 * statistics.median(run.seconds):.1f}", f"{ratio(runs, name):.2f}"),
            f"{run.memory / 1e6:.1f}",
            *(f"{run.losses[0]:.3f}", f"{statistics.mean(run.losses[-last:]):.3f}"),
            *(f"{statistics.mean(run.hits[-last:]):.0%}", f"{difference(runs, name):.0e}"),
        )
    return shown


def picture(results: list[tuple[Task, dict[str, Run]]], path: Path) -> None:
    """The losses of the plain step, the generated one and the generated loss over the updates."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "gradgen"})
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, len(results), figsize=(10, 3.6), layout="constrained")
    for axis, (task, runs) in zip(axes, results, strict=True):
        axis.plot(runs["plain step"].losses, color="0.8", lw=6, label="plain step")
        axis.plot(runs["generated step"].losses, color="C1", lw=2.5, label="generated step")
        axis.plot(runs["generated loss"].losses, color="C0", lw=1, label="generated loss")
        axis.set(title=task.title, xlabel="updates", ylabel="cross-entropy", ylim=(0.0, None))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    figure.savefig(path, metadata={"Date": None})
    lines = path.read_text(encoding="utf-8").splitlines()
    path.write_text("\n".join(line.rstrip() for line in lines) + "\n", encoding="utf-8")


def main(quick: bool = False) -> list[tuple[Task, dict[str, Run]]]:
    """Train on all tasks and print their tables; returns what was learned."""
    console = Console(width=100)
    results = []
    for task in TASKS:
        if quick:
            task = replace(task, updates=task.updates // 5, batch=4)
        with jax.enable_x64(True) if task.double else contextlib.nullcontext():
            results.append((task, learn(task)))
        console.print(table(*results[-1]))
    return results


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a few updates, no picture")
    quick = parser.parse_args().quick
    results = main(quick)
    if not quick:
        picture(results, PICTURE)
