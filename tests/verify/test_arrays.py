"""Verification on arrays accepts what is generated, and rejects every fault that is put into it."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gradgen.compile.arrays import array_front, array_module
from gradgen.compile.opening import execute
from gradgen.config import Settings
from gradgen.frontend.reading.directives import parse_wrt
from gradgen.frontend.tracing.arguments import read_signature
from gradgen.ir.array_module import ArrayModule
from gradgen.targets.jax.render import render_arrays
from gradgen.verify.array_rule import judge_array
from gradgen.verify.arrays import verify_arrays
from gradgen.verify.noise import draw_signs, moved
from gradgen.verify.verdict import Failure, Verdict

_SPIKE = """
import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _superspike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2
"""

LAYER = f"""
# gradgen: shape v=(batch, n) i=(batch, n) z=(batch, n) x=(batch, n_in) w=(n_in, n)
# gradgen: wrt v, i, z, w
# gradgen: next v=0, i=1, z=2
{_SPIKE}

def layer(v, i, z, x, w, alpha=0.95, beta=0.9):
    i = beta * i + x @ w
    v = alpha * v + (1.0 - alpha) * i - lax.stop_gradient(z)
    return v, i, spike(v - 1.0)
"""
LOSS = f"""
# gradgen: shape x=(batch, n_in) params.w=(n_in, n) params.o=(n, m) labels=(batch,):int32
# gradgen: example params={{w, o}}
{_SPIKE}

def loss(params, x, labels):
    h = jax.nn.relu(x @ params["w"])
    scores = jax.nn.log_softmax(h @ params["o"])
    return -jnp.mean(scores[jnp.arange(x.shape[0]), labels])
"""
ATTENTION = """
# gradgen: shape x=(t, d) q=(d, h) k=(d, h) v=(d, h)
import jax
import jax.numpy as jnp


def attention(x, q, k, v, scale=0.5):
    scores = scale * jnp.einsum("th,sh->ts", x @ q, x @ k)
    return jax.nn.softmax(scores, axis=-1) @ (x @ v)
"""
CONVOLUTION = """
# gradgen: shape x=(batch, 2, 6, 6) w=(4, 2, 3, 3) b=(4,)
import jax
from jax import lax


def convolve(x, w, b):
    return jax.nn.relu(lax.conv_general_dilated(x, w, (1, 1), "SAME") + b[:, None, None])
"""


@dataclass(frozen=True)
class Made:
    """A text on arrays with what it is verified against."""

    text: str
    module: ArrayModule
    function: Callable[..., Any]
    bind: Callable[[Sequence[Any]], Any]

    def verdict(self, text: str | None = None, **options: Any) -> Verdict:
        return verify_arrays(text or self.text, self.module, self.function, self.bind, **options)

    def with_fault(self, inside: str, pattern: str, replacement: str) -> str:
        """The text with a change in one of its functions."""
        start = self.text.index(f"def {inside}(")
        end = self.text.find("\ndef ", start)
        body, count = re.subn(pattern, replacement, self.text[start:end], count=1)
        assert count == 1, self.text[start:end]
        return self.text[:start] + body + self.text[end:]


@cache
def made(source: str) -> Made:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "source.py"
        path.write_text(source)
        settings = Settings(str(path))
        opened = execute(settings)
        stated = {d.kind: d.text for d in opened.source.directives}
        wrt = parse_wrt(stated["wrt"]) if "wrt" in stated else ()
        signature = read_signature(opened.source, opened.namespace, opened.function, wrt=wrt)
        module = array_module(array_front(settings, opened, signature))
    return Made(render_arrays(module), module, opened.function, signature.bind)


@pytest.mark.parametrize("source", [LAYER, LOSS, ATTENTION, CONVOLUTION])
def test_what_is_generated_is_exact(source: str) -> None:
    verdict = made(source).verdict()
    assert verdict.exact, verdict.pretty()
    assert verdict.summary().startswith("exact: 18 sets of arguments, worst error")
    assert {t.function for t in verdict.tallies} == {f.name for f in made(source).module.functions}
    assert all(t.compared > 10 for t in verdict.tallies)


def test_a_quick_verification_takes_one_set_of_sizes() -> None:
    verdict = made(LAYER).verdict(quick=True)
    assert verdict.exact
    assert (verdict.points, verdict.boundary_points) == (6, 4)
    assert {t.dtype for t in verdict.tallies} == {"float32"}


FAULTS = [
    (LAYER, "_vjp", r"t1 \* alpha", "-(t1 * alpha)", "vjp"),
    (LAYER, "_cotangents", r"t1 \* alpha", "-(t1 * alpha)", "f"),
    (LAYER, "_jvp", r"alpha \* t_v \+", "alpha * t_v -", "jvp"),
    (LAYER, "_cotangents", r"x\.T @ (\w+)", r"(x.T @ \1) * 1.00001", "f"),
    (LAYER, "_primal", r"beta \* i \+ x @ w", "x @ w + beta * i * 1.00001", "f"),
    (LOSS, "_vjp", r"h\.T @ (\w+)", r"h.T @ jnp.flip(\1, 0)", "vjp"),
    (LOSS, "_value_and_gradient", r"h\.T @ (\w+)", r"h.T @ -\1", "value_and_grad"),
    (LOSS, "_vjp", r"(x\d+) > 0\.0", r"\1 >= 0.0", "vjp"),  # a tie
    (ATTENTION, "_cotangents", r"p1\)\[:, None\]", r"p1)[None, :]", "f"),
    (CONVOLUTION, "_cotangents", r"\.sum\(\(0, 2, 3\)", ".mean((0, 2, 3)", "f"),
]


@pytest.fixture
def uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the counts alone, so that faults have to be found in numbers."""
    monkeypatch.setattr("gradgen.verify.arrays.miscounted", lambda generated: [])


@pytest.mark.usefixtures("uncounted")
@pytest.mark.parametrize(("source", "inside", "pattern", "replacement", "function"), FAULTS)
def test_a_fault_in_numbers_is_found(
    source: str, inside: str, pattern: str, replacement: str, function: str
) -> None:
    text = made(source).with_fault(inside, pattern, replacement)
    found = made(source).verdict(text, quick=True)
    assert found.kind == "inexact"
    assert function in {f.function for f in found.failures}
    failure = next(f for f in found.failures if f.function == function)
    assert failure.dtype == "float32"
    assert re.fullmatch(r"(\w+=\d+(, )?)+", failure.shape)
    assert failure.ulps > 8
    assert failure.expected != failure.got


@pytest.mark.usefixtures("uncounted")
@pytest.mark.parametrize(
    ("source", "inside", "pattern", "replacement", "function"),
    [
        # right in the set of ones alone
        (LAYER, "_vjp", r"x\.T @", "x @", "vjp"),
        (LAYER, "_cotangents", r"= x\.T @ (\w+)", r"= (x.T @ \1).sum(0)", "f"),
        # right in the first set alone
        (LOSS, "_primal", r"= batch\n", "= 2\n", "f"),
    ],
)
def test_a_fault_at_some_sizes_is_found(
    source: str, inside: str, pattern: str, replacement: str, function: str
) -> None:
    text = made(source).with_fault(inside, pattern, replacement)
    failures = made(source).verdict(text, dtypes=("float32",)).failures
    assert function in {f.function for f in failures}
