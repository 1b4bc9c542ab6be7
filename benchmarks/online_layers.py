"""Learning the weights of a layer online, beside backpropagation through time and by hand.

The gradient of the squared error of spikes at each step, by the weights of the feed-forward layer
in `models/layers/lif_layer.py`: by the generated traces, by `jax.grad` of the source through time,
by traces that a person writes who has seen along which axes they vary, and by a trace for each
synapse and example, which is what tools make that do not look at axes. Times are those of the
processors, all of them together. Then the same for neurons whose traces need more
(`benchmarks.online_neurons`), and a picture of the whole learner in `examples/online_layers.py`.

    python -m benchmarks.online_layers --rounds 40
    python -m benchmarks.online_layers --picture     # docs/_static/online_layers.svg alone
"""

from __future__ import annotations

import argparse
import statistics
import sys
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

from benchmarks import online_neurons
from benchmarks.drawing import plotter, save
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
LONGEST = 10_000
"""Steps at which memory alone is asked for, of programs that are compiled and never run."""
A, B, TH = 0.95, 0.9, 1.0

PICTURE = ROOT / "docs" / "_static" / "online_layers.svg"
LENGTHS = (100, 300, 1_000, 3_000, 10_000)
"""Of the sequences in the picture."""
SMALL = (8, 128, 64, 50)
"""Examples, inputs, neurons and steps of the neurons in the second table."""

Program = Callable[..., Any]


def front() -> ArrayFront:
    """The source, traced, with the weights to be learned."""
    wrt = (("wrt", "v, i, z, w"),)
    found = open_front(Settings(str(SOURCE), directives=wrt, emit=("f", "traces")))
    assert isinstance(found, ArrayFront)
    return found


def through_time(layer: Callable[..., Any], states: int) -> Program:
    """By `jax.grad` of a layer whose first outputs are so many states, and whose last are spikes:
    gradients of the squared error of these by what is learned."""

    def loss(learned: Any, xs: jax.Array, due: jax.Array) -> jax.Array:
        def step(state: Any, now: Any) -> tuple[Any, jax.Array]:
            outputs = layer(*state, now[0], *learned)
            return outputs[:states], 0.5 * jnp.sum((outputs[-1] - now[1]) ** 2)

        return lax.scan(step, rest(due, states), (xs, due))[1].sum()

    return jax.grad(loss)


def online(generated: types.ModuleType, name: str, states: int) -> Program:
    """The same by the generated traces of a layer."""
    start, moved, pulled = (
        getattr(generated, f"{name}_traces_{end}") for end in ("init", "step", "vjp")
    )

    def gradient(learned: Any, xs: jax.Array, due: jax.Array) -> Any:
        def step(carry: Any, now: Any) -> tuple[Any, None]:
            state, traces, total = carry
            outputs, traces = moved(traces, (*state, now[0], *learned))
            errors = (*(None for _ in outputs[1:]), outputs[-1] - now[1])
            total = jax.tree.map(jnp.add, total, pulled(traces, errors))
            return (outputs[:states], traces, total), None

        traces = start((*rest(due, states), xs[0], *learned))
        none = jax.tree.map(jnp.zeros_like, learned)
        return lax.scan(step, (rest(due, states), traces, none), (xs, due))[0][2]

    return gradient


def rest(due: jax.Array, states: int) -> tuple[jax.Array, ...]:
    """Neurons at rest."""
    return (jnp.zeros(due.shape[1:]),) * states


def by_hand(learned: Any, xs: jax.Array, due: jax.Array) -> Any:
    """The traces of the weights have the presynaptic axis alone; errors meet one in a product."""
    (w,) = learned

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

    none = jnp.zeros(xs.shape[1:])
    start = *rest(due, 3), none, none, jnp.zeros_like(w)
    return lax.scan(step, start, (xs, due))[0][-1:]


def by_synapse(learned: Any, xs: jax.Array, due: jax.Array) -> Any:
    """A trace for each synapse and example."""
    (w,) = learned

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

    none = jnp.zeros((*xs.shape[1:], w.shape[1]))
    start = *rest(due, 3), none, none, jnp.zeros_like(w)
    return lax.scan(step, start, (xs, due))[0][-1:]


def drawn(size: tuple[int, int, int, int], rate: float) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Weights, and spikes that come and that are due, of `(batch, inputs, neurons, steps)`."""
    batch, inputs, neurons, steps = size
    first, second, third = jax.random.split(jax.random.key(0), 3)
    w = 4.0 * jax.random.normal(first, (inputs, neurons)) / inputs**0.5
    xs = jax.random.bernoulli(second, rate, (steps, batch, inputs)).astype(float)
    due = jax.random.bernoulli(third, rate, (steps, batch, neurons)).astype(float)
    return w, xs, due


def ratio(one: Measured, other: Measured) -> str:
    """The median over rounds of the ratio of times."""
    pairs = zip(one.seconds, other.seconds, strict=True)
    return f"{statistics.median(a / b for a, b in pairs):.2f}"


def measured(
    batch: int, steps: int, programs: dict[str, Program], rounds: int
) -> dict[str, Measured]:
    """All programs on one sequence; AssertionError if their gradients differ."""
    w, xs, due = drawn((batch, INPUTS, NEURONS, steps), 0.05)
    (wanted,) = programs["through time"]((w,), xs, due)
    for program in programs.values():
        (found,) = program((w,), xs, due)
        assert float(jnp.max(jnp.abs(found - wanted))) <= 1e-4 * float(jnp.max(jnp.abs(wanted)))
    return measure(programs, ((w,), xs, due), rounds, time.process_time)


def temporary(program: Program, batch: int, steps: int) -> int:
    """The bytes of XLA's temporary memory, as the compiler plans it."""
    w, xs, due = jax.eval_shape(lambda: drawn((batch, INPUTS, NEURONS, steps), 0.05))
    compiled = jax.jit(program).lower((w,), xs, due).compile()
    found: int = compiled.memory_analysis().temp_size_in_bytes
    return found


def print_table(rounds: int) -> None:
    """Processor time a step and temporary memory; ratios are medians over rounds."""
    source = front()
    programs: dict[str, Program] = {
        "through time": through_time(source.function, 3),
        "by hand": by_hand,
        "gradgen": online(load(render_arrays(array_module(source))), "lif_layer", 3),
    }
    table = Table(title=f"LIF layer, {INPUTS} inputs, {NEURONS} neurons, weights learned online")
    for heading in ("batch", "steps", "program", "a step", "to by hand", "to through time", "MB"):
        table.add_column(heading, justify="right")
    for batch in BATCHES:
        for steps in STEPS:
            chosen = programs | ({"a trace a synapse": by_synapse} if steps == STEPS[0] else {})
            found = measured(batch, steps, chosen, rounds)
            for name, one in found.items():
                table.add_row(
                    str(batch),
                    f"{steps:,}",
                    name,
                    f"{1e6 * one.median / steps:,.1f} us",
                    *(ratio(one, found[base]) for base in ("by hand", "through time")),
                    f"{one.temporary / 1e6:.2f}",
                )
        for name, program in programs.items():
            memory = f"{temporary(program, batch, LONGEST) / 1e6:.2f}"
            table.add_row(str(batch), f"{LONGEST:,}", name, "", "", "", memory)
    Console(width=110).print(table)


def of_neurons(name: str) -> tuple[dict[str, Program], Any]:
    """The programs for a layer of other neurons, and the module with its traces: gradients of the
    squared error of spikes by what is learned."""
    path = Path(online_neurons.__file__)
    found = open_front(Settings(str(path), function=name, emit=("f", "traces")))
    assert isinstance(found, ArrayFront)
    generated = load(render_arrays(array_module(found)))
    neuron, states = online_neurons.NEURONS[name]

    def by_synapse(learned: Any, xs: jax.Array, due: jax.Array) -> Any:
        w, *more = learned

        def step(carry: Any, now: Any) -> tuple[Any, None]:
            state, traces, total = carry
            x, target = now
            given = (*state, x @ w, *more)

            def push(tangents: Any) -> Any:
                return jax.jvp(neuron, given, tangents)[1]

            # of the weights a trace a synapse, of the others one a neuron
            zeros = [jnp.zeros_like(one) for one in more]
            driven = jnp.broadcast_to(x.T[:, :, None], (w.shape[0], *target.shape))
            found = [jax.vmap(lambda t, d: push((*t, d, *zeros)))(traces[0], driven)]
            for k, trace in enumerate(traces[1:]):
                each = [jnp.ones_like(z) if k == j else z for j, z in enumerate(zeros)]
                found.append(push((*trace, jnp.zeros_like(target), *each)))
            outputs = neuron(*given)
            error = outputs[-1] - target
            gradients = [(error * one[-1]).sum(-2) for one in found]
            total = [a + b for a, b in zip(total, gradients, strict=True)]
            return (outputs[:states], [one[:states] for one in found], total), None

        wide = (jnp.zeros((w.shape[0], *due.shape[1:])),) * states
        traces = [wide, *(rest(due, states) for _ in more)]
        none = [jnp.zeros_like(one) for one in learned]
        return tuple(lax.scan(step, (rest(due, states), traces, none), (xs, due))[0][2])

    programs: dict[str, Program] = {
        "through time": through_time(getattr(online_neurons, name), states),
        "gradgen": online(generated, name, states),
        "a trace a synapse": by_synapse,
    }
    return programs, generated


def print_neurons(rounds: int) -> None:
    """Traces with their shapes, the difference of gradients, memory, and ratios of times."""
    batch, inputs, neurons, steps = SMALL
    title = f"Other neurons: {inputs} inputs, {neurons} neurons, batch {batch}, {steps} steps"
    table = Table(title=title)
    for heading in ("neurons", "traces", "off by", "MB", "of a trace a synapse", "to through time"):
        table.add_column(heading, justify="right")
    table.add_column("to a trace a synapse", justify="right")
    w, xs, due = drawn(SMALL, 0.1)
    for name in online_neurons.NEURONS:
        programs, generated = of_neurons(name)
        learned = (w, jnp.linspace(1.0, 4.0, neurons)) if name == "timed_layer" else (w,)
        with jax.enable_x64(True):
            exact = jax.tree.map(lambda x: x.astype("float64"), (learned, xs, due))
            wanted = programs["through time"](*exact)
            pairs = zip(programs["gradgen"](*exact), wanted, strict=True)
            off = max(float(jnp.abs(a - b).max() / jnp.abs(b).max()) for a, b in pairs)
        found = measure(programs, (learned, xs, due), rounds, time.process_time)
        mine = found["gradgen"]
        held = generated.GRADGEN["traces"]["held"]
        table.add_row(
            getattr(online_neurons, name).__doc__,
            "; ".join(f"{k} {v}" for k, v in held.items() if " by " in k),
            f"{off:.0e}",
            *(f"{found[k].temporary / 1e6:.2f}" for k in ("gradgen", "a trace a synapse")),
            *(ratio(mine, found[k]) for k in ("through time", "a trace a synapse")),
        )
    Console(width=140).print(table)


def picture(rounds: int) -> None:
    """Loss, memory over steps and time a step of the learner in `examples/online_layers.py`."""
    sys.path.insert(0, str(ROOT / "examples"))
    import online_layers as example  # type: ignore[import-not-found]

    _, online_losses, behind = example.main()
    layer = example.generate("models/layers/lif_layer.py", "--wrt", "v,i,z,w", "--emit", "f,traces")
    activity, target, w = example.task(jax.random.key(0))
    found: dict[int, dict[str, Measured]] = {}
    for steps in LENGTHS:
        repeated = -(-steps // len(activity))
        xs, due = (jnp.tile(x, (repeated, 1, 1))[:steps] for x in (activity, target))
        programs: dict[str, Program] = {
            "online": lambda w, xs, due: example.present(layer, w, xs, due, example.RATE),
            "through time": lambda w, xs, due: jax.value_and_grad(
                lambda w: example.through_time(layer, w, xs, due)
            )(w),
        }
        found[steps] = measure(programs, (w, xs, due), rounds, time.process_time)
    figure, axes = plotter().subplots(1, 3, figsize=(10, 3.2), layout="constrained")
    labels = {"through time": "backpropagation through time", "online": "online, by traces"}
    axes[0].plot(behind, label=labels["through time"])
    axes[0].plot(online_losses, label=labels["online"])
    axes[0].set(xlabel="presentations", ylabel="loss")
    for name, label in labels.items():
        memory = [points[name].temporary / 1e6 for points in found.values()]
        times = [1e6 * points[name].median / steps for steps, points in found.items()]
        axes[1].loglog(list(found), memory, "o-", label=label)
        axes[2].semilogx(list(found), times, "o-", label=label)
    axes[1].set(xlabel="steps", ylabel="temporary memory, MB")
    axes[2].set(xlabel="steps", ylabel="processor time a step, µs", ylim=(0, None))
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False)
    save(figure, PICTURE)
    for steps, points in found.items():
        shown = (f"{k} {p.temporary / 1e6:.3f} MB" for k, p in points.items())
        print(f"{steps:,} steps: {', '.join(shown)}")


def main() -> None:
    """Print the tables and draw the picture."""
    parser = argparse.ArgumentParser(description="Layers that learn online.")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--neurons", action="store_true", help="the table of other neurons alone")
    parser.add_argument("--picture", action="store_true", help="the picture alone")
    chosen = parser.parse_args()
    if not (chosen.neurons or chosen.picture):
        print_table(chosen.rounds)
    if not chosen.picture:
        print_neurons(chosen.rounds)
    if not chosen.neurons:
        picture(chosen.rounds)


if __name__ == "__main__":
    main()
