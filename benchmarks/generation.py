"""How long it takes to generate and verify a file, and how that grows with the source.

`python -m benchmarks.generation` prints three tables. The first times whole processes, in turn: the
command on a model, and beside it a process that imports JAX and jits `jax.jacrev` of the same
function, which is the least that anybody pays for a Jacobian. The second times random functions of
growing length with a fixed order, the third a neuron, the layer that it becomes with a matrix of
synapses, and a network step that applies such a layer ten times.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).resolve().parent.parent
MODELS = ("lif", "izhikevich", "hodgkin_huxley")
RUNS = 3
LENGTHS = (250, 500, 1000, 2000)

_BASELINE = """
import sys, inspect, jax
sys.path.insert(0, "models")
module = __import__(sys.argv[1])
step = getattr(module, sys.argv[2])
names = [p.name for p in inspect.signature(step).parameters.values() if p.default is p.empty]
jax.block_until_ready(jax.jit(jax.jacrev(step, argnums=tuple(range(len(names)))))(
    *(jax.numpy.float32(0.1 * (k + 1)) for k in range(len(names)))))
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


def wall_time(command: Sequence[str]) -> float:
    """Seconds that a process takes; raises CalledProcessError if it fails."""
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    start = time.perf_counter()
    subprocess.run(command, check=True, cwd=ROOT, env=environment, capture_output=True)
    return time.perf_counter() - start


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
    table = Table(title=f"Whole processes, medians of {RUNS}, in turn")
    for heading in ("model", "gradgen, s", "import jax, jit(jacrev), s", "ratio"):
        table.add_column(heading, justify="left" if heading == "model" else "right")
    with tempfile.TemporaryDirectory() as folder:
        for model in MODELS:
            ours, theirs = [], []
            for run in range(RUNS):
                output = f"{folder}/{model}{run}.py"
                command = [sys.executable, "-m", "gradgen", f"models/{model}.py", "-o", output]
                ours.append(wall_time(command))
                baseline = [sys.executable, "-c", _BASELINE, model, f"{model}_step"]
                theirs.append(wall_time(baseline))
            a, b = statistics.median(ours), statistics.median(theirs)
            table.add_row(model, f"{a:.2f}", f"{b:.2f}", f"{a / b:.2f}")
    return table


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
            seconds = wall_time([sys.executable, "-m", "gradgen", str(source), *options])
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
                seconds[name].append(wall_time([*command, "-o", f"{folder}/out{run}.py"]))
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    first = next(iter(medians.values()))
    for name, median in medians.items():
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
