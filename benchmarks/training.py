"""Training through time: gradients with the generated step beside those JAX gives by itself.

`python -m benchmarks.training` scans every model over time in float32 and differentiates a loss of
all outputs by the state at the start and by a gain for each neuron's inputs, with the source's
step, with `jax.checkpoint` of it and with the generated step; the forward pass alone is the floor.
The programs of a model are called in turn, in an order shuffled anew in each round. Times are
medians of the ratios to the faster of JAX's two in the same round, and memory is what XLA reports
as temporary.

    python -m benchmarks.training                      # all models, two sizes
    python -m benchmarks.training --large              # a size that strains 24 GiB of memory
    python -m benchmarks.training --curves             # time against memory, with JAX's policies;
                                                       # draws docs/_static/residuals.svg
    python -m benchmarks.training lif adex --rounds 5  # some models, quickly
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks.drawing import plotter, save
from gradgen.compile.front import Front, open_front, ranges_of
from gradgen.compile.generation import generate
from gradgen.config import Settings
from gradgen.ir.module import Residuals
from gradgen.verify.isolate import load
from gradgen.verify.timing import take_turns

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "_static" / "residuals.svg"
MODELS = tuple(p.stem for p in sorted((ROOT / "models").glob("[a-z]*.py")))
ROUNDS = 25
SECONDS = 0.3
"""What a program is called for at least, over all rounds, on the faster models."""
CURVES = ("hodgkin_huxley", "alif")

Step = Callable[..., Any]


@dataclass(frozen=True)
class Size:
    """How much is simulated."""

    steps: int
    batch: int
    neurons: int

    def __str__(self) -> str:
        return f"{self.steps} x {self.batch} x {self.neurons}"

    @property
    def updates(self) -> int:
        """Neurons and steps."""
        return self.steps * self.batch * self.neurons


SIZES = (Size(200, 32, 128), Size(1000, 16, 64))
LARGE = Size(1000, 64, 2048)


@dataclass(frozen=True)
class Measured:
    """A program's time and memory."""

    seconds: tuple[float, ...]
    """In each round."""
    temporary: int
    """XLA's temporary memory, in bytes."""

    @property
    def median(self) -> float:
        """Seconds."""
        return statistics.median(self.seconds)


class Simulation:
    """A model in a loop over time."""

    def __init__(self, front: Front, size: Size) -> None:
        self._front = front
        trace, ranges = front.trace, ranges_of(front)
        places = {o.path: k for k, o in enumerate(trace.outputs)}
        self._next = {path: places[output] for path, output in trace.recurrence}
        self._shared: dict[str, Any] = {}
        chosen = np.random.default_rng(0)
        shape = (size.batch, size.neurons)
        start, gains, driving = {}, {}, {}
        for i in trace.inputs:
            low, high = ranges.get(i.path, (0.1, 0.9))
            middle = (low + high) / 2
            dtype = jnp.float32 if i.dtype == "float" else i.dtype
            if i.path in self._next:
                start[i.path] = jnp.asarray(chosen.uniform(middle, high, shape), dtype)
            elif i.wrt:
                gains[i.path] = jnp.ones(size.neurons, jnp.float32)
                weak = low + 0.3 * (high - low)
                driving[i.path] = chosen.uniform(low, weak, (size.steps, *shape)).astype("float32")
            else:
                self._shared[i.path] = jnp.asarray(middle, dtype)
        floats = {path for path, x in start.items() if x.dtype == jnp.float32}
        learned = {path: start[path] for path in floats}, gains
        fixed = {path: x for path, x in start.items() if path not in floats}
        self.arguments = learned, fixed, jax.tree.map(jnp.asarray, driving)

    def loss(self, step: Step) -> Callable[..., jax.Array]:
        """Of what is learned, the rest of the state at the start and the inputs over time."""
        paths = [i.path for i in self._front.trace.inputs]

        def body(carry: tuple[Any, jax.Array, Any], driving: Any) -> tuple[Any, None]:
            state, total, gains = carry
            now = {path: gains[path] * x for path, x in driving.items()}
            leaves = {**state, **now, **self._shared}
            positional, keyword = self._front.signature.bind([leaves[path] for path in paths])
            outputs = jax.tree.leaves(step(*positional, **keyword))
            floats = [out for out in outputs if jnp.issubdtype(out.dtype, jnp.floating)]
            total += sum((k + 1) * jnp.mean(out) for k, out in enumerate(floats))
            return ({path: outputs[k] for path, k in self._next.items()}, total, gains), None

        def loss(learned: Any, fixed: Any, driving: Any) -> jax.Array:
            start, gains = learned
            begin = {**start, **fixed}, jnp.float32(0.0), gains
            return jax.lax.scan(body, begin, driving)[0][1]

        return loss


def generated(settings: Settings) -> types.ModuleType:
    """The file that gradgen writes, verified."""
    return load(generate(settings, lambda what: None).text)


def measure(
    programs: dict[str, Callable[..., Any]],
    arguments: Sequence[Any],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, Measured]:
    """Each program's seconds in each round, all of them in every round, and its memory."""
    compiled = {k: jax.jit(program).lower(*arguments).compile() for k, program in programs.items()}
    slowest = 0.0
    for program in compiled.values():
        jax.block_until_ready(program(*arguments))
        begin = time.perf_counter()
        jax.block_until_ready(program(*arguments))
        slowest = max(slowest, time.perf_counter() - begin)
    rounds = max(rounds, min(10 * rounds, int(SECONDS / slowest)))
    seconds = take_turns(compiled, arguments, rounds, clock)
    return {
        name: Measured(tuple(found), compiled[name].memory_analysis().temp_size_in_bytes)
        for name, found in seconds.items()
    }


def front_of(model: str) -> Front:
    """The model's front, its step vectorised if it runs on one neuron only."""
    return open_front(Settings(str(ROOT / "models" / f"{model}.py")))


def gradients(step: Step, drop_in: Step, simulation: Simulation) -> dict[str, Callable[..., Any]]:
    """The programs of the table."""
    return {
        "forward": simulation.loss(step),
        "jax.grad": jax.value_and_grad(simulation.loss(step)),
        "checkpoint": jax.value_and_grad(simulation.loss(jax.checkpoint(step))),
        "gradgen": jax.value_and_grad(simulation.loss(drop_in)),
    }


def table(models: Sequence[str], size: Size, rounds: int, console: Console) -> None:
    """One row for each model."""
    shown = Table(
        title=f"{size} (steps x batch x neurons), float32: milliseconds, megabytes of XLA's "
        "temporary memory, and the ratios of gradgen to the better of JAX's two"
    )
    columns = ("forward", "jax.grad", "checkpoint", "gradgen", "time ratio")
    columns += ("jax.grad, MB", "checkpoint, MB", "gradgen, MB", "memory ratio", "bytes kept")
    for heading in ("model", *columns):
        shown.add_column(heading, justify="left" if heading == "model" else "right")
    ratios = []
    for model in models:
        front = front_of(model)
        simulation = Simulation(front, size)
        module = generated(front.settings)
        drop_in = getattr(module, front.source.function)
        programs = gradients(front.function, drop_in, simulation)
        found = measure(programs, simulation.arguments, rounds)
        by_jax = ("jax.grad", "checkpoint")
        faster = min(by_jax, key=lambda name: found[name].median)
        pairs = zip(found["gradgen"].seconds, found[faster].seconds, strict=True)
        ratio = statistics.median(ours / theirs for ours, theirs in pairs)
        memory = found["gradgen"].temporary / min(found[name].temporary for name in by_jax)
        ratios.append((ratio, memory))
        kept = module.GRADGEN["counts"]["residuals"]["kept"]
        shown.add_row(
            model,
            *(f"{1000 * f.median:.1f}" for f in found.values()),
            f"{ratio:.2f}",
            *(f"{found[name].temporary / 1e6:.1f}" for name in (*by_jax, "gradgen")),
            f"{memory:.2f}",
            f"{kept['bytes']} of {kept['inputs']}",
        )
        console.print(f"{size} {model}: time {ratio:.3f}, memory {memory:.3f}", style="dim")
    console.print(shown)
    worst = max(ratios)[0], max(m for _, m in ratios)
    better = sum(t <= 0.85 or m <= 0.85 for t, m in ratios)
    mean = [math.exp(statistics.fmean(math.log(r[k]) for r in ratios)) for k in (0, 1)]
    console.print(
        f"geometric mean: time {mean[0]:.2f}, memory {mean[1]:.2f}; at worst {worst[0]:.2f} and "
        f"{worst[1]:.2f}; 15 % better than both in time or memory: {better} of {len(ratios)}"
    )


def _saves(*names: str) -> Callable[..., bool]:
    """A policy of `jax.checkpoint` that saves the results of some primitives."""
    return lambda primitive, *_, **__: primitive.name in names


def curve(model: str, size: Size, rounds: int) -> dict[str, Measured]:
    """JAX's policies and every choice of residuals."""
    front = front_of(model)
    simulation = Simulation(front, size)
    step, name = front.function, front.source.function
    policies = jax.checkpoint_policies
    steps: dict[str, Step] = {
        "jax.grad": step,
        "checkpoint, nothing": jax.checkpoint(step),
        "checkpoint, everything": jax.checkpoint(step, policy=policies.everything_saveable),
        "checkpoint, exp and tanh": jax.checkpoint(step, policy=_saves("exp", "tanh")),
        "checkpoint, div": jax.checkpoint(step, policy=_saves("div")),
        "checkpoint, comparisons": jax.checkpoint(step, policy=_saves("gt", "ge", "lt", "le")),
    }
    choices: tuple[Residuals, ...] = ("auto", "inputs", "entries", "JAX")
    for choice in choices:
        settings = replace(front.settings, residuals=choice)
        steps[f"gradgen, {choice}"] = getattr(generated(settings), name)
    programs: dict[str, Callable[..., Any]] = {"forward": simulation.loss(step)}
    programs |= {name: jax.value_and_grad(simulation.loss(s)) for name, s in steps.items()}
    return measure(programs, simulation.arguments, rounds)


def curves(models: Sequence[str], size: Size, rounds: int, console: Console) -> None:
    """Tables and the picture of time against memory."""
    found = {model: curve(model, size, rounds) for model in models}
    for model, points in found.items():
        shown = Table(title=f"{model}, {size}")
        for heading in ("program", "ms", "times forward", "XLA temp MB", "bytes per neuron-step"):
            shown.add_column(heading, justify="left" if heading == "program" else "right")
        for name, point in points.items():
            shown.add_row(
                name,
                f"{1000 * point.median:.1f}",
                f"{point.median / points['forward'].median:.2f}",
                f"{point.temporary / 1e6:.1f}",
                f"{point.temporary / size.updates:.1f}",
            )
        console.print(shown)
    if tuple(models) == CURVES:
        picture(found, size)


def picture(found: dict[str, dict[str, Measured]], size: Size) -> None:
    """Time, in that of the forward pass, against the bytes that a neuron takes in a step."""
    from matplotlib.ticker import ScalarFormatter

    figure, axes = plotter().subplots(1, len(found), figsize=(10, 4.6), layout="constrained")
    for axis, (model, points) in zip(axes, found.items(), strict=True):
        for number, (name, point) in enumerate((k, p) for k, p in points.items() if k != "forward"):
            ours = name.startswith("gradgen")
            axis.plot(
                point.temporary / size.updates,
                point.median / points["forward"].median,
                "os^vDPX*<>"[number],
                color="C0" if ours else "0.6",
                ms=9 if ours else 8,
                alpha=0.8,
                label=name,
            )
        axis.set_xscale("log", base=2)
        axis.xaxis.set_major_formatter(ScalarFormatter())
        axis.set_ylim(0.0, None)
        axis.set(title=model.replace("_", " "), xlabel="temporary memory, bytes a neuron and step")
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("time, in forward passes")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=8)
    save(figure, PICTURE)


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("models", nargs="*", help="all of models/, unless named")
    parser.add_argument("--large", action="store_true", help=f"{LARGE} instead of two sizes")
    parser.add_argument("--curves", action="store_true", help="time against memory instead")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    console = Console(width=160)
    if asked.curves:
        curves(asked.models or CURVES, SIZES[0], asked.rounds, console)
        return
    for size in (LARGE,) if asked.large else SIZES:
        table(asked.models or MODELS, size, asked.rounds, console)


if __name__ == "__main__":
    main()
