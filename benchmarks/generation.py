"""How long it takes to generate and verify a file, and how that grows with the source.

`python -m benchmarks.generation` prints three tables. The first times whole processes, in turn: the
command on a function of few or many arguments, and beside it a process that imports JAX and jits
`jax.jacrev` of the same function, which is the least that anybody pays for a Jacobian; seconds on
the clock, and of all cores together. `first` is where nothing is kept of what XLA compiled, `next`
where other functions have been generated before, `again` where this very one has been, each in a
cache folder of the benchmark's own. The second times random functions of
growing length with a fixed order, the third a neuron, the layer that it becomes with a matrix of
synapses, and a network step that applies such a layer ten times.
"""

from __future__ import annotations

import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
FUNCTIONS = {
    "lif": "models/lif.py:lif_step",
    "izhikevich": "models/izhikevich.py:izhikevich_step",
    "hodgkin_huxley": "models/hodgkin_huxley.py:hodgkin_huxley_step",
    "AdEx, 12 arguments": "benchmarks/neurons/adex_of_twelve.py:adex_of_twelve",
    "AdEx, 14 of them by keyword": "benchmarks/neurons/adex_by_keyword.py:adex_by_keyword",
    "analog neuron, 25 parameters": "benchmarks/neurons/analog_neuron.py:analog_neuron",
    "muscle, 17 arguments": "benchmarks/neurons/muscle.py:muscle",
}
RUNS = 3
LENGTHS = (250, 500, 1000, 2000)

_BASELINE = """
import inspect, jax, os, sys
folder, file = os.path.split(sys.argv[1])
sys.path.insert(0, folder)
step = getattr(__import__(file.removesuffix(".py")), sys.argv[2])
numbers = (jax.numpy.float32(0.1 * k) for k in range(1, 100))
given = {}
for parameter in inspect.signature(step).parameters.values():
    if parameter.default is parameter.empty:
        fields = getattr(parameter.annotation, "_fields", None)
        given[parameter.name] = (
            parameter.annotation._make(next(numbers) for _ in fields) if fields else next(numbers)
        )
jax.block_until_ready(jax.jit(jax.jacrev(lambda given: step(**given)))(given))
"""

_SPIKE = """
import jax
import jax.numpy as jnp

@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)

@spike.defjvp
def _superspike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2
"""
_NEURON = """
# gradgen: wrt v, i, z, x, w
def step(v, i, z, x, w, alpha=0.95, beta=0.9):
    i_next = beta * i + x * w
    v_next = alpha * v + (1.0 - alpha) * i_next - z
    return v_next, i_next, spike(v_next - 1.0)
"""
_SHAPES = "# gradgen: shape v=(batch, n) i=(batch, n) z=(batch, n) x=(batch, m) w=(m, n)\n"
_LAYER = _SHAPES + _SPIKE + _NEURON.replace("x * w", "x @ w")
_NETWORK = "".join((
    "# gradgen: shape v=(batch, n) a=(batch, n) z=(batch, n) x=(batch, m) w=(m, n) r=(n, n)\n",
    f"{_SPIKE}\n\ndef step(v, a, z, x, w, r):\n",
    *(
        f"    i = x @ (w * {0.1 * k + 0.5:.1f}) + z @ r\n"
        "    v = 0.9 * v * (1.0 - z) + 0.1 * i - 0.05 * a\n"
        "    a = a * jnp.exp(-0.1 * jnp.abs(v)) + z\n"
        "    z = spike(v - 1.0 - jnp.tanh(a).mean(-1, keepdims=True))\n"
        for k in range(10)
    ),
    "    return v, a, z\n",
))  # fmt: skip
ON_ARRAYS = {
    "neuron of 10 operations": _SPIKE + _NEURON,
    "layer of 10 operations": _LAYER,
    "network step of 200 operations": _NETWORK,
}


class Taken(NamedTuple):
    """What a process and those that it starts take."""

    wall: float
    processor: float
    """Of all cores together."""


def times(command: Sequence[str], cache: str = "") -> Taken:
    """Seconds that a process takes; raises CalledProcessError if it fails.

    What gradgen keeps goes into the folder `cache`, if one is given.
    """
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # modules are compiled once, as for users
    if cache:
        environment["XDG_CACHE_HOME"] = cache
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True)
    after, end = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    used = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Taken(end - start, used)


def medians(taken: Sequence[Taken]) -> Taken:
    """The median of each."""
    return Taken(*map(statistics.median, zip(*taken, strict=True)))


def random_source(length: int, seed: int = 0) -> str:
    """A step function of about `length` equations."""
    chosen = random.Random(seed)
    names = ["a", "b", "c", "d"]
    lines = ["import jax.numpy as jnp", "", "", "def long_step(a, b, c, d):"]
    forms = (
        ("{x} + 0.5 * {y}", 2),
        ("{x} * {y}", 1),
        ("jnp.tanh({x})", 1),
        ("jnp.exp(-{x} * {x})", 3),
        ("{x} - {y}", 1),
        ("jnp.where({x} > {y}, {x}, 0.3 * {y})", 3),
        ("jnp.sin({x} + {y})", 2),
        ("1.0 / (1.0 + {x} * {x})", 3),
    )
    count = 0
    while count < length:
        x, y = chosen.choice(names[-12:]), chosen.choice(names[-12:])
        form, equations = chosen.choice(forms)
        name = f"v{len(names)}"
        # kept within bounds, or long chains overflow
        lines.append(f"    {name} = jnp.tanh({form.format(x=x, y=y)})")
        names.append(name)
        count += equations + 1
    lines.append(f"    return {names[-1]}, {names[-3]}, {names[-5]}")
    return "\n".join(lines) + "\n"


def processes() -> Table:
    """Whole processes: the command, and the least that a Jacobian costs in JAX."""
    title = f"Whole processes, medians of {RUNS}, in turn: seconds, and those of all cores together"
    table = Table(title=title)
    headings = ("first", "next", "again", "import jax, jit(jacrev)")
    table.add_column("function")
    for heading in headings:
        table.add_column(heading, justify="right")
        table.add_column("cores", justify="right")
    taken: dict[str, list[list[Taken]]] = {name: [[] for _ in headings] for name in FUNCTIONS}
    with tempfile.TemporaryDirectory() as folder:
        for run in range(RUNS):
            kept = f"{folder}/{run}"
            _generated(list(FUNCTIONS.values())[-1], folder, kept)
            for number, (name, place) in enumerate(FUNCTIONS.items()):
                own = f"{kept}.{number}"
                baseline = [sys.executable, "-c", _BASELINE, *place.split(":")]
                found = [_generated(place, folder, cache) for cache in (own, kept, own)]
                for column, one in zip(taken[name], [*found, times(baseline)], strict=True):
                    column.append(one)
    for name, columns in taken.items():
        seconds = [one for column in columns for one in medians(column)]
        table.add_row(name, *(f"{one:.1f}" for one in seconds))
    return table


def _generated(place: str, folder: str, cache: str) -> Taken:
    """What it takes to generate a file."""
    output = f"{folder}/out.py"
    taken = times([sys.executable, "-m", "gradgen", place, "-o", output], cache)
    os.remove(output)
    return taken


def growth() -> Table:
    """Random functions of growing length, forward order."""
    table = Table(title="Random functions, --order forward, verification included")
    for heading in ("equations", "seconds", "milliseconds per equation"):
        table.add_column(heading, justify="right")
    with tempfile.TemporaryDirectory() as folder:
        for length in LENGTHS:
            source = Path(folder) / f"long{length}.py"
            source.write_text(random_source(length))
            output = f"{folder}/out{length}.py"
            options = ["--order", "forward", "-o", output]
            seconds = times([sys.executable, "-m", "gradgen", str(source), *options]).wall
            table.add_row(str(length), f"{seconds:.1f}", f"{1000 * seconds / length:.1f}")
    return table


def arrays() -> Table:
    """A neuron, a layer and a network step."""
    table = Table(title=f"On arrays, verification included, medians of {RUNS}, in turn")
    for heading in ("source", "seconds", "to the neuron"):
        table.add_column(heading, justify="left" if heading == "source" else "right")
    seconds: dict[str, list[float]] = {name: [] for name in ON_ARRAYS}
    with tempfile.TemporaryDirectory() as folder:
        for run in range(RUNS):
            for name, text in ON_ARRAYS.items():
                source = Path(folder) / f"{name.split()[0]}.py"
                source.write_text(text)
                command = [sys.executable, "-m", "gradgen", str(source)]
                seconds[name].append(times([*command, "-o", f"{folder}/out{run}.py"]).wall)
    typical = {name: statistics.median(taken) for name, taken in seconds.items()}
    first = next(iter(typical.values()))
    for name, median in typical.items():
        table.add_row(name, f"{median:.1f}", f"{median / first:.2f}")
    return table


def main() -> None:
    """Print all tables."""
    console = Console()
    console.print(processes())
    console.print(growth())
    console.print(arrays())


if __name__ == "__main__":
    main()
