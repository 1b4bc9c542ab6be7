"""Losses through time: time and memory of whole gradients, generated, by JAX, and by hand.

`python -m benchmarks.networks` differentiates the losses in `models/networks/`, in float32 and by
their weights, with `jax.grad`, with `jax.checkpoint` of the step, with the committed generated file
and as a person writes it who sees the whole loop: the products of all steps in one, layer after
layer, a backward loop that carries cotangents alone, weights' gradients in one product after it (of
two networks).
The programs are called in turn, in an order shuffled anew in each round. Times are medians of the
ratios to `jax.grad` in the same round, and memory is what XLA reports as temporary. `jax.grad` is
compiled a second time: its ratio to itself tells what a ratio is worth. The table is Markdown.

    python -m benchmarks.networks                            # all sizes
    python -m benchmarks.networks recurrent_loss --rounds 5  # one network, quickly
    python -m benchmarks.networks --blocks                   # in blocks and segments, by generation
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.network_arguments import arguments
from benchmarks.training import Measured, measure
from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_programs import array_module
from gradgen.compile.front import open_front
from gradgen.config import Settings
from gradgen.targets.jax.render import render_arrays
from gradgen.verify.isolate import load

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 21
RATE = 0.03
"""Of input spikes, a step."""
RESULT_AND_MORE = {"rate_loss"}
"""What gives more than its loss."""
ALPHA, BETA, RHO, K = 0.95, 0.9, 0.97, 0.1
CLASSIFIER = ("time", "batch", "n_in", "n", "n_out")
SIZES: dict[str, tuple[tuple[str, ...], tuple[tuple[int, ...], ...]]] = {
    "recurrent_loss": (
        CLASSIFIER,
        ((100, 32, 700, 256, 20), (250, 1, 700, 256, 20), (250, 8, 700, 512, 20)),
    ),
    "feedforward_loss": (
        CLASSIFIER,
        ((100, 32, 700, 256, 20), (250, 4, 700, 256, 20), (100, 128, 128, 128, 10)),
    ),
    "delayed_loss": (CLASSIFIER, ((100, 32, 700, 256, 20), (250, 1, 700, 256, 20))),
    "stepwise_loss": (CLASSIFIER, ((100, 32, 128, 256, 20), (250, 4, 700, 256, 20))),
    "rate_loss": (CLASSIFIER, ((100, 32, 128, 256, 10), (250, 4, 128, 256, 10))),
    "heterogeneous_loss": (CLASSIFIER, ((100, 32, 200, 128, 20), (250, 4, 200, 256, 20))),
    "van_rossum_loss": (("time", "batch", "n_in", "n"), ((250, 8, 100, 100), (500, 1, 100, 256))),
    "hodgkin_huxley_loss": (("time", "batch", "n_in", "n"), ((100, 16, 32, 64), (100, 1, 32, 128))),
    "ei_loss": (
        ("time", "batch", "n_in", "m", "n_out"),
        ((200, 32, 100, 40, 3), (500, 1, 100, 100, 3)),
    ),
    "convolutional_loss": (
        ("time", "batch", "c", "h", "n_out"),
        ((20, 8, 8, 4, 11), (20, 2, 16, 8, 11)),
    ),
}
"""Of each network the axes, and what sizes they are given."""
LONG = (1000, 32, 128, 128, 10)
"""Sizes of a classifier where memory is what there is least of."""

Function = Callable[..., Any]


def source(name: str, *, checkpoint: bool = False) -> Any:
    """The module of a loss, with `jax.checkpoint` around its step if so."""
    text = (ROOT / "models" / "networks" / f"{name}.py").read_text(encoding="utf-8")
    if checkpoint:
        text = text.replace("lax.scan(step,", "lax.scan(jax.checkpoint(step, prevent_cse=False),")
    return load(text)


def programs(name: str) -> dict[str, Function]:
    """Value and gradient by the weights, each in its way."""
    generated = load((ROOT / "generated" / "networks" / f"{name}_grad.py").read_text("utf-8"))
    derivative = partial(jax.value_and_grad, has_aux=name in RESULT_AND_MORE)
    plain = derivative(getattr(source(name), name))
    whole = getattr(generated, f"{name}_value_and_grad")

    def by_gradgen(*given: Any) -> Any:
        value, (gradient,) = whole(*given)
        return value, gradient

    by_hand = {"recurrent_loss": recurrent_by_hand, "feedforward_loss": layers_by_hand}
    return {
        "jax.grad": plain,
        "again": lambda *given: plain(*given),
        "checkpoint": derivative(getattr(source(name, checkpoint=True), name)),
        **({"by hand": by_hand[name]} if name in by_hand else {}),
        "gradgen": by_gradgen,
    }


def _flat(x: jax.Array) -> jax.Array:
    return x.reshape(-1, x.shape[-1])


def _slope(u: jax.Array) -> jax.Array:
    return 1.0 / (10.0 * jnp.abs(u) + 1.0) ** 2


def _read_out(counts: jax.Array, out: jax.Array, labels: jax.Array, steps: int) -> Any:
    """The loss, and its derivatives by the counts of spikes and the weights of the readout."""

    def loss(counts: jax.Array, out: jax.Array) -> jax.Array:
        logits = jax.nn.log_softmax(counts @ out / steps)
        return -jnp.mean(logits[jnp.arange(labels.shape[0]), labels])

    return jax.value_and_grad(loss, argnums=(0, 1))(counts, out)


def recurrent_by_hand(params: Any, xs: jax.Array, labels: jax.Array) -> Any:
    """What is kept: each step's potential before it, and what is above the threshold."""
    w, v_, out = params
    zero = jnp.zeros((xs.shape[1], w.shape[1]))

    def forth(carry: Any, current: jax.Array) -> Any:
        v, i, q, z = carry
        i = BETA * i + current + z @ v_
        after = ALPHA * v * (1.0 - z) + (1.0 - ALPHA) * i
        q = RHO * q + (1.0 - RHO) * z
        u = after - 1.0 - K * q
        return (after, i, q, (u > 0.0).astype(u.dtype)), (v, z > 0.0, u)

    _, (vs, fired, us) = lax.scan(forth, (zero,) * 4, xs @ w)
    value, (d_counts, d_out) = _read_out((us > 0.0).sum(0) * 1.0, out, labels, xs.shape[0])

    def back(carry: Any, kept: Any) -> Any:
        d_v, d_i, d_q, d_z = carry
        v, z, u = kept
        d_u = (d_z + d_counts) * _slope(u)
        d_v, d_q = d_v + d_u, d_q - K * d_u
        d_i = d_i + (1.0 - ALPHA) * d_v
        d_z = (1.0 - RHO) * d_q - ALPHA * v * d_v + d_i @ v_.T
        return (ALPHA * (1.0 - z) * d_v, BETA * d_i, RHO * d_q, d_z), d_i

    _, currents = lax.scan(back, (zero,) * 4, (vs, fired, us), reverse=True)
    before = fired.astype(w.dtype)
    gradient = (_flat(xs).T @ _flat(currents), _flat(before).T @ _flat(currents), d_out)
    return value, type(params)(*gradient)


def layers_by_hand(params: Any, xs: jax.Array, labels: jax.Array) -> Any:
    """Layer after layer, forth and back."""
    first, second, out = params
    zero = jnp.zeros((xs.shape[1], first.shape[1]))

    def forth(carry: Any, current: jax.Array) -> Any:
        v, i, z = carry
        i = BETA * i + current
        after = ALPHA * v * (1.0 - z) + (1.0 - ALPHA) * i
        return (after, i, (after > 1.0).astype(v.dtype)), (v, after)

    def back(carry: Any, kept: Any) -> Any:
        d_v, d_i, d_z = carry
        v, after, above = kept
        d_v = d_v + (d_z + above) * _slope(after - 1.0)
        d_i = d_i + (1.0 - ALPHA) * d_v
        quiet = 1.0 - (v > 1.0)
        return (ALPHA * quiet * d_v, BETA * d_i, -ALPHA * v * d_v), d_i

    _, (v1, a1) = lax.scan(forth, (zero,) * 3, xs @ first)
    z1 = (a1 > 1.0).astype(xs.dtype)
    _, (v2, a2) = lax.scan(forth, (zero,) * 3, z1 @ second)
    value, (d_counts, d_out) = _read_out((a2 > 1.0).sum(0) * 1.0, out, labels, xs.shape[0])
    above = jnp.broadcast_to(d_counts, a2.shape)
    _, i2 = lax.scan(back, (zero,) * 3, (v2, a2, above), reverse=True)
    _, i1 = lax.scan(back, (zero,) * 3, (v1, a1, i2 @ second.T), reverse=True)
    return value, type(params)(_flat(xs).T @ _flat(i1), _flat(z1).T @ _flat(i2), d_out)


def measured(name: str, sizes: tuple[int, ...], rounds: int) -> dict[str, Measured]:
    """The gradients of a network; raises AssertionError if one is another one.

    They are compared in float64. In float32 a spike at its threshold may come or not, as products
    are rounded: of a hundred spikes that feed back, one such moves a gradient by 0.2 %.
    """
    known = dict(zip(SIZES[name][0], sizes, strict=True))
    given, every = arguments(name, source(name), known, rate=RATE), programs(name)
    with jax.enable_x64(True):
        precise = jax.tree.map(_widened, given)
        due = jax.jit(every["jax.grad"])(*precise)
        for way in sorted({"by hand", "gradgen"} & every.keys()):
            found = jax.jit(every[way])(*precise)
            for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True):
                tolerance = 1e-9 * float(jnp.abs(other).max())
                np.testing.assert_allclose(one, other, rtol=0, atol=tolerance)
    return measure(every, given, rounds)


def _widened(x: jax.Array) -> jax.Array:
    return x.astype(jnp.float64) if jnp.issubdtype(x.dtype, jnp.floating) else x


WAYS: dict[str, dict[str, str]] = {
    "chosen": {},
    "10": {"blocks": "10"},
    "25": {"blocks": "25"},
    "50": {"blocks": "50"},
    "segments": {"segments": "auto"},
}
"""Of running the loops of generated code, by what a table calls them."""


def generated(name: str, sizes: tuple[int, ...], options: dict[str, str]) -> Function:
    """Value and gradient, generated at these sizes and not verified."""
    known = zip(SIZES[name][0], sizes, strict=True)
    text = " ".join(f"{axis}={size}" for axis, size in known)
    path = str(ROOT / "models" / "networks" / f"{name}.py")
    front = open_front(Settings(path, directives=(("size", text),), **options))  # type: ignore[arg-type]
    assert isinstance(front, ArrayFront)
    whole = getattr(load(render_arrays(array_module(front))), f"{name}_value_and_grad")

    def by_gradgen(*given: Any) -> Any:
        value, (gradient,) = whole(*given)
        return value, gradient

    return by_gradgen


def row_of_blocks(name: str, sizes: tuple[int, ...], rounds: int) -> str:
    """A row of the table of blocks: for each way the time to `jax.grad`, and megabytes."""
    known = dict(zip(SIZES[name][0], sizes, strict=True))
    given = arguments(name, source(name), known, rate=RATE)
    every = {
        "jax.grad": jax.value_and_grad(getattr(source(name), name)),
        "checkpoint": jax.value_and_grad(getattr(source(name, checkpoint=True), name)),
    } | {way: generated(name, sizes, options) for way, options in WAYS.items()}
    found = measure(every, given, rounds)
    plain = found["jax.grad"]
    steps, batch, *neurons = sizes
    cells = [name, f"{steps} x {batch}, {'-'.join(map(str, neurons))}"]
    for way, each in found.items():
        pairs = zip(each.seconds, plain.seconds, strict=True)
        ratio = statistics.median(a / b for a, b in pairs)
        time = f"{1e3 * plain.median:.1f} ms" if way == "jax.grad" else f"{ratio:.2f}"
        cells.append(f"{time}, {each.temporary / 1e6:.1f}")
    return f"| {' | '.join(cells)} |"


def row(name: str, sizes: tuple[int, ...], rounds: int) -> str:
    """A row of the table."""
    found = measured(name, sizes, rounds)
    plain = found["jax.grad"]

    def ratio(way: str) -> str:
        if way not in found:
            return ""
        pairs = zip(found[way].seconds, plain.seconds, strict=True)
        return f"{statistics.median(a / b for a, b in pairs):.2f}"

    def megabytes(way: str) -> str:
        return f"{found[way].temporary / 1e6:.1f}" if way in found else ""

    steps, batch, *others = sizes
    ways = ("again", "checkpoint", "by hand", "gradgen")
    cells = (
        name,
        f"{steps} x {batch}, {'-'.join(map(str, others))}",
        f"{1e3 * plain.median:.1f}",
        *map(ratio, ways),
        *map(megabytes, ("jax.grad", *ways[1:])),
    )
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Print the table, a row as soon as it is measured."""
    parser = argparse.ArgumentParser(description="Time and memory of losses through time.")
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="default all")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--blocks", action="store_true", help="compare ways to run the loops")
    chosen = parser.parse_args()
    if chosen.blocks:
        print(
            f"| network | steps x batch, neurons | `jax.grad` | checkpoint | {' | '.join(WAYS)} |"
        )
        print(f"| --- | --- |{' ---: |' * (2 + len(WAYS))}")
        for name in chosen.networks or ("recurrent_loss", "feedforward_loss"):
            for sizes in (*SIZES[name][1], LONG):
                print(row_of_blocks(name, sizes, chosen.rounds), flush=True)
        return
    print(
        "| network | steps x batch, other axes | `jax.grad`, ms | again | checkpoint | by hand "
        "| gradgen | `jax.grad`, MB | checkpoint, MB | by hand, MB | gradgen, MB |"
    )
    print(f"| --- | --- |{' ---: |' * 9}")
    for name in chosen.networks or SIZES:
        for sizes in SIZES[name][1]:
            print(row(name, sizes, chosen.rounds), flush=True)


if __name__ == "__main__":
    main()
