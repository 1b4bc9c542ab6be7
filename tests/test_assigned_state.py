"""Methods that assign the next state to attributes: it is returned, and the object stays."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generating import generate_text
from projects import gradgen

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_generation import generate_arrays
from gradgen.compile.front import open_front
from gradgen.config import Settings
from gradgen.errors import GradgenError

VARIABLES = """
import jax
import jax.numpy as jnp
from flax import nnx

class Spiking(nnx.Module):
    def __init__(self, tau=2.0, size=3):
        self.tau = nnx.Param(jnp.asarray(tau))
        self.v = nnx.Variable(jnp.zeros(size))
        self.threshold = 1.0

    def __call__(self, x):
        self.v.value = jax.nn.sigmoid(self.tau.value) * self.v.value + x
        z = jax.nn.sigmoid(4.0 * (self.v.value - self.threshold))
        self.v.value -= z * self.threshold
        return z
"""

PLAIN = """
import jax.numpy as jnp

class Filter:
    def __init__(self, decay):
        self.decay, self.trace = decay, jnp.zeros(3)

class Spiking:
    def __init__(self, tau=2.0, size=3):
        self.tau, self.v, self.threshold = jnp.asarray(tau), jnp.zeros(size), 1.0
        self.filter, self.seen = Filter(jnp.asarray(0.9)), [jnp.zeros(size)]

    def __call__(self, x):
        v = jnp.tanh(self.tau) * self.v + x - self.seen[0]
        self.filter.trace = self.filter.decay * self.filter.trace + v
        self.v = v
        self.seen[0] = jnp.tanh(self.filter.trace)
        return v * self.seen[0]
"""


def through_time(cell: Any, x: Any, step: Any) -> Any:
    """The sum of what a cell returns over a few steps."""
    total = 0.0
    for k in range(4):
        total = total + jnp.sum(step(cell, x * (1.0 + k)) ** 2)
    return total


def with_tau(cell: Any, tau: Any) -> Any:
    if hasattr(cell.tau, "value"):
        cell.tau.value = tau
    else:
        cell.tau = tau
    return cell


def assign(cell: Any, path: str, value: Any) -> None:
    """What a user of the generated function does with the next state."""
    *owners, last = path.split(".")
    for name in owners:
        cell = getattr(cell, name)
    if isinstance(cell, list):
        cell[int(last)] = value
    elif hasattr(getattr(cell, last), "value"):
        getattr(cell, last).value = value
    else:
        setattr(cell, last, value)


@pytest.mark.parametrize(
    ("text", "paths"), [(VARIABLES, {"v"}), (PLAIN, {"v", "filter.trace", "seen.0"})]
)
def test_the_next_state_is_returned_and_differentiated(
    tmp_path: Path, text: str, paths: set[str]
) -> None:
    found = generate_text(tmp_path, text, function="Spiking")
    spiking = inspect.unwrap(found.source).__globals__["Spiking"]
    call, x = found.function(), jnp.array([0.3, 0.9, -0.2])

    cell = spiking()
    before = [np.asarray(leaf) for leaf in (cell.v[...], x)]
    z, after = call(cell, x)
    assert set(after) == paths
    np.testing.assert_array_equal(cell.v[...], before[0])
    np.testing.assert_array_equal(z, cell(x))
    np.testing.assert_array_equal(after["v"], cell.v[...])

    def generated(cell: Any, x: Any) -> Any:
        z, after = call(cell, x)
        for path, value in after.items():
            assign(cell, path, value)
        return z

    def loss(step: Any) -> Any:
        return lambda tau, x: through_time(with_tau(spiking(), tau), x, step)

    due = jax.value_and_grad(loss(spiking.__call__), argnums=(0, 1))(1.7, x)
    got = jax.value_and_grad(loss(generated), argnums=(0, 1))(1.7, x)
    for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(due), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-5)


def test_state_that_is_assigned_is_known_as_state(tmp_path: Path) -> None:
    path = tmp_path / "source.py"
    path.write_text(PLAIN)
    front = open_front(Settings(str(path), function="Spiking"))
    assert dict(front.trace.recurrence) == {
        "self.v": "1.v",
        "self.filter.trace": "1.filter%2Etrace",
        "self.seen.0": "1.seen%2E0",
    }


def test_traces_of_state_that_is_assigned(tmp_path: Path) -> None:
    source, out = tmp_path / "source.py", tmp_path / "out.py"
    source.write_text(PLAIN)
    done = gradgen(f"{source}:Spiking", "--emit", "f,traces", "-o", out)
    assert done.exit_code == 0, done.stderr
    assert "Spiking_call_traces_step" in out.read_text()


def test_a_layer_that_assigns(tmp_path: Path) -> None:
    text = """
import jax.numpy as jnp

class Layer:
    def __init__(self, n_in=4, n=3):
        self.w = jnp.ones((n_in, n)) * 0.1
        self.v = jnp.zeros(n)

    def step(self, x):
        self.v = 0.9 * self.v + x @ self.w
        return jnp.tanh(self.v)
"""
    path = tmp_path / "source.py"
    path.write_text(text)
    shapes = ("shape", "self.w=(n_in,n) self.v=(n,) x=(n_in,)")
    front = open_front(Settings(str(path), function="Layer.step", directives=(shapes,)))
    assert isinstance(front, ArrayFront)
    made = generate_arrays(front, lambda status: None)
    assert made.report.exact
    assert "the next values of self.v" in made.text
    assert dict(front.trace.recurrence) == {"self.v": "1.v"}


UPDATE = """
import jax.numpy as jnp

class Cell:
    def __init__(self):
        self.v, self.count = jnp.zeros(1), 0

    def update(self, x):
        self.v = 0.5 * self.v + jnp.tanh(x)
        LINE
"""


def test_a_method_that_returns_nothing_is_a_step(tmp_path: Path) -> None:
    found = generate_text(tmp_path, UPDATE.replace("LINE", ""), function="Cell.update")
    cell = inspect.unwrap(found.source).__globals__["Cell"]()
    nothing, after = found.function()(cell, 0.5)
    assert nothing is None
    cell.update(0.5)
    np.testing.assert_array_equal(after["v"], cell.v)


@pytest.mark.parametrize(
    ("line", "path"),
    [("self.count += 1", "count"), ("self.spike = self.v > 0.5", "spike"),
     ("self.v = None", "v"), ("self.count = self.v", "count")],
)  # fmt: skip
def test_what_is_no_state_may_not_change(tmp_path: Path, line: str, path: str) -> None:
    source = tmp_path / "source.py"
    source.write_text(UPDATE.replace("LINE", line))
    with pytest.raises(GradgenError, match=f"changes '{path}' of its instance"):
        open_front(Settings(str(source), function="Cell.update"))


def test_state_that_is_a_number_of_python_is_asked_for(tmp_path: Path) -> None:
    source, out = tmp_path / "source.py", tmp_path / "out.py"
    source.write_text(UPDATE.replace("LINE", "return self.v").replace("jnp.zeros(1)", "0.0"))
    refused = gradgen(f"{source}:Cell.update", "-o", out)
    assert refused.exit_code == 2
    assert "assigns self.v, and floats of Python are held constant" in refused.stderr
    (wrt,) = [line for line in refused.stderr.splitlines() if "--wrt" in line]
    asked = wrt.partition("--wrt ")[2].partition(", or")[0]
    done = gradgen(f"{source}:Cell.update", "--wrt", asked, "-o", out)
    assert done.exit_code == 0, done.stderr
