"""Sources and ways to call them: every kind of number that people pass for an argument."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

HEADER = """
import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _spike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10 * jnp.abs(x) + 1) ** 2

"""

SOURCES = {
    "integer defaults": """
def step(v, x, tau=20, th=1):
    return v + (x - v) / tau, v - th
""",
    "integers in arithmetic": """
def step(v, w, n=2):
    return jnp.sin(v) * n, w * 3 - v
""",
    "a spike that follows the state": """
def step(v, x, alpha=0.9, th=1.0):
    v = alpha * v + x
    return v, (v > th).astype(x.dtype)
""",
    "a spike with a rule": """
def step(v, i, x, alpha=0.9, beta=0.8):
    v = alpha * v + (1 - alpha) * i
    i = beta * i + (1 - beta) * x
    return v, i, spike(jnp.asarray(v) - 1)
""",
    "machine constants": """
def step(v, x, g=1.0):
    eps = jnp.finfo(jnp.asarray(x).dtype).eps
    return v / (jnp.abs(x) + eps), g * x
""",
    "an explicit cast": """
def step(v, spiked, v_th, v_reset=0.0):
    v = v - jnp.asarray(spiked).astype(jnp.float32) * (v_th - v_reset)
    return v, jnp.maximum(v, 0.25)
""",
    "a mask times one": """
def step(v, x, v_th=1.0):
    s = (v > v_th) * 1.0
    return (0.9 * v + x) * (1.0 - s), s
""",
    "a counter": """
def step(v, x, left=0, period=3):
    free = left <= 0
    v = jnp.where(free, 0.9 * v + x, 0.0)
    return v, jnp.where(v > 1.0, period, left - 1)
""",
    "a conversion to an integer's dtype": """
def step(v, n=20, m=3):
    count = jnp.floor(v * n).astype(jnp.asarray(n).dtype)
    return 0.9 * v + count, count, (v > m).astype(jnp.int32)
""",
    "an integer promoted by itself": """
def step(v, x, n: int):
    return v * (1 / n) + x, jnp.exp(-n / 20)
""",
    "powers": """
def step(v, u, a=0.02, b=0.2):
    dv = 0.04 * v**2 + 5 * v + 140 - u
    return v + dv, u + a * (b * v - u)
""",
    "constants of a leaf's dtype": """
def step(v, x, decay=0.5):
    z = jnp.zeros_like(v)
    return decay * v + x, z, jnp.where(x > 0, jnp.ones_like(x), 0)
""",
    "a truth value by default": """
import numpy as np

def step(v, x, on=np.bool_(True), gain=2):
    return jnp.where(on, v * gain, x), jnp.exp(-x / gain)
""",
    "floors and remainders": """
def step(v, x, period=7.0):
    return jnp.floor(v * 2) + x % period, jnp.maximum(jnp.minimum(v, x), -1)
""",
}


def _python() -> list[Callable[[random.Random], Any]]:
    return [
        lambda r: r.randint(-3, 4),
        lambda r: r.uniform(-2, 3),
        lambda r: r.random() < 0.5,
    ]


def _scalars() -> list[Callable[[random.Random], Any]]:
    return [
        lambda r: np.float32(r.uniform(-2, 3)),
        lambda r: np.float64(r.uniform(-2, 3)),
        lambda r: np.int32(r.randint(-3, 4)),
        lambda r: np.int64(r.randint(-3, 4)),
        lambda r: np.bool_(r.random() < 0.5),
        lambda r: jnp.asarray(r.uniform(-2, 3)),
        lambda r: jnp.asarray(r.randint(-3, 4)),
    ]


DTYPES = ("float32", "float32", "float64", "bfloat16", "float16", "int8", "uint8", "int32", "bool")


def _arrays() -> list[Callable[[random.Random], Any]]:
    def of(dtype: str) -> Callable[[random.Random], Any]:
        def make(r: random.Random) -> Any:
            values = [r.uniform(0, 3) if "int" in dtype else r.uniform(-2, 3) for _ in range(3)]
            if dtype == "bool":
                values = [v > 0 for v in values]
            return (jnp.asarray if r.random() < 0.7 else np.asarray)(values, dtype=dtype)

        return make

    return [of(dtype) for dtype in DTYPES]


def arguments(r: random.Random, function: Callable[..., Any], mode: str) -> tuple[Any, ...]:
    """Arguments of one call: plain numbers of one kind, or anything mixed."""
    code = function.__code__
    least = code.co_argcount - len(function.__defaults__ or ())
    count = r.randint(least, code.co_argcount)
    kinds = [*_python(), *_scalars(), *_arrays()]
    if r.random() < 0.4:
        kinds = r.sample(kinds, 2)
    if mode in ("vmap", "scan"):
        kinds = _arrays()
    return tuple(r.choice(kinds)(r) for _ in range(count))


def _scan(function: Callable[..., Any]) -> Callable[..., Any]:
    """All arguments scanned over."""

    def run(*arguments: Any) -> Any:
        return jax.lax.scan(lambda carry, given: (carry, function(*given)), 0, arguments)[1]

    return run


MODES: dict[str, Callable[[Callable[..., Any]], Callable[..., Any]]] = {
    "eager": lambda function: function,
    "jit": jax.jit,
    "vmap": jax.vmap,
    "scan": _scan,
    "checkpoint": jax.checkpoint,
}


def plain(arguments: tuple[Any, ...]) -> bool:
    """Whether all arguments are floats of one precision."""
    dtypes = {jnp.result_type(a).name for a in arguments}
    return dtypes in ({"float32"}, {"float64"})


def differences(found: Any, due: Any) -> Iterator[str]:
    """What distinguishes a result from the source's."""
    for got, wanted in zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True):
        # without an operation of JAX, the source may return what is no array
        wanted = jnp.asarray(wanted)
        if got.dtype != wanted.dtype:
            yield f"{got.dtype} for {wanted.dtype}"
            continue
        if got.shape != wanted.shape:
            yield f"{got.shape} for {wanted.shape}"
            continue
        exact = not jnp.issubdtype(wanted.dtype, jnp.floating)
        tolerance = 0.0 if exact else 32 * float(jnp.finfo(wanted.dtype).eps)
        a, b = np.asarray(got).astype(np.float64), np.asarray(wanted).astype(np.float64)
        scale = np.maximum(np.where(np.isfinite(b), np.abs(b), 0.0), 64.0)
        if not np.all(
            (a == b) | (np.isnan(a) & np.isnan(b)) | (np.abs(a - b) <= tolerance * scale)
        ):
            yield f"{a} for {b}"
