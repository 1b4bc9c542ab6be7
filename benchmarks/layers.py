"""Layers through time: time and memory of gradients with the generated step and with JAX's own.

`python -m benchmarks.layers` scans every layer of `models/layers/` over 100 steps in float32 and
differentiates a loss of all outputs by the state at the start, the inputs of all steps and the
weights, with the source's step, with `jax.checkpoint` of it and with the committed generated step.
The readout has all of time in one call and is no step; its loss is differentiated as it is. The
programs are called in turn, in an order shuffled anew in each round. Times are medians of the
ratios to `jax.grad` in the same round, and memory is what XLA reports as temporary. `jax.grad` is
compiled a second time: its ratio to itself tells what a ratio is worth. The table is Markdown.

    python -m benchmarks.layers                         # all layers
    python -m benchmarks.layers lif_layer --rounds 5    # one, quickly
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.training import Measured, measure
from gradgen.compile.array_front import ArrayFront
from gradgen.compile.front import open_front, ranges_of
from gradgen.config import Settings
from gradgen.ir.shapes import size
from gradgen.verify.isolate import load

ROOT = Path(__file__).resolve().parent.parent
STEPS = 100
ROUNDS = 15
DRIVEN = "x"
"""What an input of each step is called."""
SIZES: dict[str, tuple[dict[str, int], ...]] = {
    "lif_layer": (
        {"batch": 8, "n_in": 64, "n": 64},
        {"batch": 32, "n_in": 128, "n": 128},
        {"batch": 128, "n_in": 128, "n": 256},
    ),
    "alif_recurrent": (
        {"batch": 8, "n_in": 64, "n": 64},
        {"batch": 32, "n_in": 64, "n": 128},
        {"batch": 128, "n_in": 64, "n": 256},
    ),
    "ei_conductance": ({"batch": 8, "m": 12}, {"batch": 32, "m": 25}, {"batch": 128, "m": 50}),
    "hh_gap_junctions": (
        {"batch": 8, "n_in": 64, "n": 64},
        {"batch": 32, "n_in": 64, "n": 128},
        {"batch": 128, "n_in": 64, "n": 256},
    ),
    "lif_conv": (
        {"batch": 2, "c_in": 2, "c_out": 8, "height": 8, "width": 8},
        {"batch": 4, "c_in": 2, "c_out": 8, "height": 16, "width": 16},
        {"batch": 8, "c_in": 4, "c_out": 8, "height": 16, "width": 16},
    ),
    "spiking_attention": (
        {"batch": 2, "t": 16, "d": 32},
        {"batch": 4, "t": 32, "d": 64},
        {"batch": 8, "t": 32, "d": 128},
    ),
    "readout_loss": (
        {"time": 100, "batch": 8, "n": 64, "classes": 10},
        {"time": 100, "batch": 32, "n": 128, "classes": 20},
        {"time": 100, "batch": 128, "n": 256, "classes": 20},
    ),
}
"""Small, middle and large, for each layer."""

Function = Callable[..., Any]
Leaves = dict[str, jax.Array]


def front_of(layer: str) -> ArrayFront:
    """The source, traced."""
    front = open_front(Settings(str(ROOT / "models" / "layers" / f"{layer}.py")))
    assert isinstance(front, ArrayFront)
    return front


def generated(layer: str) -> Function:
    """The drop-in function of the committed file."""
    text = (ROOT / "generated" / "layers" / f"{layer}_grad.py").read_text(encoding="utf-8")
    function: Function = getattr(load(text), layer)
    return function


def leaves_of(front: ArrayFront, sizes: Mapping[str, int]) -> Leaves:
    """Arguments in their ranges, by path; weights so that sums over the inputs are of order one."""
    chosen, ranges = np.random.default_rng(0), ranges_of(front)
    found = {}
    for i, shape in zip(front.trace.inputs, front.trace.shapes, strict=True):
        whole = i.path.partition(".")[0]
        low, high = ranges.get(i.path) or ranges.get(whole, (0, sizes.get("classes", 1)))
        axes = tuple(size(dim, sizes) for dim in shape)
        if i.path == DRIVEN:
            axes = (STEPS, *axes)
        values = chosen.uniform(low, high, axes) if shape else np.asarray((low + high) / 2)
        if len(axes) > 1 and i.wrt and "w" in i.path:
            values /= math.sqrt(axes[0])
        found[i.path] = jnp.asarray(values, jnp.float32 if i.dtype == "float" else i.dtype)
    return found


def loss_of(front: ArrayFront, function: Function) -> Function:
    """The loss of all outputs over time, of what is differentiated and of the rest."""
    trace = front.trace
    places = {o.path: k for k, o in enumerate(trace.outputs)}
    renewed = {path: places[output] for path, output in trace.recurrence}

    def called(leaves: Leaves) -> list[jax.Array]:
        positional, keyword = front.signature.bind([leaves[i.path] for i in trace.inputs])
        return jax.tree.leaves(function(*positional, **keyword))

    def loss(learned: Leaves, fixed: Leaves) -> jax.Array:
        leaves = learned | fixed
        if DRIVEN not in leaves:
            return called(leaves)[0]

        def body(carry: tuple[Leaves, jax.Array], x: jax.Array) -> Any:
            state, total = carry
            outputs = called(leaves | state | {DRIVEN: x})
            total += sum((k + 1) * jnp.mean(out) for k, out in enumerate(outputs))
            return ({path: outputs[k] for path, k in renewed.items()}, total), None

        start = {path: leaves[path] for path in renewed}
        return jax.lax.scan(body, (start, jnp.float32(0.0)), leaves[DRIVEN])[0][1]

    return loss


def measured(layer: str, sizes: Mapping[str, int], rounds: int) -> dict[str, Measured]:
    """The gradients of a layer."""
    front = front_of(layer)
    leaves = leaves_of(front, sizes)
    wrt = {i.path for i in front.trace.inputs if i.wrt}
    learned = {path: x for path, x in leaves.items() if path in wrt}
    fixed = {path: x for path, x in leaves.items() if path not in wrt}
    functions = {
        "jax.grad": front.function,
        "again": lambda *given, **named: front.function(*given, **named),
        "checkpoint": jax.checkpoint(front.function),
        "gradgen": generated(layer),
    }
    programs = {k: jax.value_and_grad(loss_of(front, f)) for k, f in functions.items()}
    _agree(programs, (learned, fixed))
    return measure(programs, (learned, fixed), rounds)


def _agree(programs: Mapping[str, Function], arguments: Sequence[Any]) -> None:
    """Raises AssertionError if a gradient is another one.

    That of a sum over time is only as exact as float32 and the order of its terms.
    """
    due = jax.jit(programs["jax.grad"])(*arguments)
    found = jax.jit(programs["gradgen"])(*arguments)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-3 * float(jnp.abs(other).max()))


def row(layer: str, sizes: Mapping[str, int], rounds: int) -> str:
    """A row of the table."""
    found = measured(layer, sizes, rounds)

    def ratio(name: str, to: str) -> float:
        pairs = zip(found[name].seconds, found[to].seconds, strict=True)
        return statistics.median(a / b for a, b in pairs)

    memory = [found[name].temporary / 1e6 for name in ("jax.grad", "checkpoint", "gradgen")]
    cells = (
        layer,
        " ".join(f"{name}={n}" for name, n in sizes.items()),
        f"{1e3 * found['jax.grad'].median:.1f}",
        *(f"{ratio(name, 'jax.grad'):.2f}" for name in ("again", "checkpoint", "gradgen")),
        f"{max(ratio('gradgen', name) for name in ('jax.grad', 'checkpoint')):.2f}",
        *(f"{megabytes:.2f}" for megabytes in memory),
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table, a row as soon as it is measured."""
    parser = argparse.ArgumentParser(description="Time and memory of layers through time.")
    parser.add_argument("layers", nargs="*", metavar="LAYER", help="of models/layers; default all")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    chosen = parser.parse_args()
    print(
        "| layer | sizes | `jax.grad`, ms | again | checkpoint | gradgen | to the faster "
        "| `jax.grad`, MB | checkpoint, MB | gradgen, MB |"
    )
    print(f"| --- | --- |{' ---: |' * 8}")
    for layer in chosen.layers or SIZES:
        for sizes in SIZES[layer]:
            print(row(layer, sizes, chosen.rounds), flush=True)


if __name__ == "__main__":
    main()
