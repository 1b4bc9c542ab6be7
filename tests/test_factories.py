"""Functions that return the step: differentiated as one function of the arguments of both."""

from __future__ import annotations

import importlib
import inspect
import runpy
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from generating import generate
from test_methods import agree, opened, refusal, written

from gradgen.api import differentiate

MAKE = """
from typing import NamedTuple


class Parameters(NamedTuple):
    tau: float
    threshold: float


def make_step(p: Parameters, gain=2.0, *, soft=True):
    \"\"\"A neuron.\"\"\"
    decay = jnp.exp(-1.0 / p.tau)
    others = {"gain": gain}

    # gradgen: range p.tau=1:30
    @jax.jit
    def step(state, x, dt=0.5):
        v, i = state
        v = decay * v + others["gain"] * i * dt
        z = jax.nn.sigmoid(v - p.threshold)
        return (v - p.threshold * z if soft else v * (1.0 - z), i + x), z

    return step
"""


def test_a_function_that_returns_the_step_takes_the_arguments_of_both(tmp_path: Path) -> None:
    path = written(tmp_path, MAKE)
    step, namespace = generate(path, function="make_step").function(), runpy.run_path(str(path))
    assert str(inspect.signature(step)) == "(p, state, x, dt=0.5, *, gain=2.0, soft=True)"
    assert step.__doc__.startswith("A neuron.")
    assert "the arguments of make_step and of the function it returns" in " ".join(
        step.__doc__.split()
    )
    start, inputs = (jnp.zeros(3), jnp.ones(3)), jnp.linspace(0.0, 2.0, 15).reshape(5, 3)

    def gradient(made: Any) -> Any:
        def loss(p: Any, inputs: Any) -> jax.Array:
            return jnp.sum(jax.lax.scan(made(p), start, inputs)[1])

        return jax.jit(jax.grad(loss, (0, 1)))(namespace["Parameters"](20.0, 0.7), inputs)

    agree(gradient(lambda p: partial(step, p)), gradient(namespace["make_step"]))


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("def make():\n    def f(v):\n        return v * v\n    return f", ["v"]),
        ("def make(w):\n    return_it = 2.0\n    def f(v):\n        return v * w * return_it\n"
         "    return jax.checkpoint(f)", ["w", "v"]),
        ("from typing import NamedTuple\ndef make(ws):\n    a, b = ws\n    def f(*, s):\n"
         "        return s.v * a + s.i * b\n"
         "    return f\n\nclass S(NamedTuple):\n    v: float\n    i: float\n",
         ["ws.0", "ws.1", "s.v", "s.i"]),
        ("def inner_of(p):\n    def g(v):\n        return v * p['a']\n    return g\n"
         "def make(p):\n    g = inner_of(p)\n    def f(v):\n        return g(v) + p['b']\n"
         "    return f", ["p.a", "p.b", "v"]),
    ],
)  # fmt: skip
def test_what_both_take_apart(tmp_path: Path, text: str, paths: list[str]) -> None:
    front = opened(tmp_path, text, "make")
    assert [i.path for i in front.trace.inputs] == paths


def test_one_that_exists_already(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(written(tmp_path, SIMPLE).rename(tmp_path / "made.py").parent)
    make = importlib.import_module("made").make
    due = jax.grad(lambda *arguments: make(arguments[0])(*arguments[1:]), (0, 1, 2))
    agree(jax.grad(differentiate(make).f, (0, 1, 2))(0.9, 1.0, 2.0), due(0.9, 1.0, 2.0))


SIMPLE = """
def make(alpha):
    def step(v, x):
        return alpha * v + x
    return step
"""


def test_one_is_not_chosen_by_itself_and_is_named(tmp_path: Path) -> None:
    hint = str(refusal(tmp_path, SIMPLE).hint)
    assert "--function make;" in hint
    assert "step = make(...)" in hint
    assert [i.path for i in opened(tmp_path, SIMPLE, "make").trace.inputs] == ["alpha", "v", "x"]
    called = f"{SIMPLE}\nstep = make(0.9)\n"
    assert [i.path for i in opened(tmp_path, called).trace.inputs] == ["v", "x"]


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (("step(v, x):", "step(x, alpha, v=0.5):"), "both take alpha"),
        (("step(v, x)", "step(v, x=alpha)"), "default values that it computes"),
        (("return step", "return partial(step, x=alpha)"), "binds arguments"),
    ],
)
def test_what_cannot_be_one_function_is_to_be_called(
    tmp_path: Path, change: tuple[str, str], what: str
) -> None:
    text = SIMPLE.replace(*change)
    error = refusal(tmp_path, f"from functools import partial\n{text}", "make")
    assert what in error.message
    called = f"from functools import partial\n{text}\nstep = make(0.9)\n"
    assert "step = make(...) at module level" in str(error.hint)
    assert opened(tmp_path, called, "step").trace.inputs
