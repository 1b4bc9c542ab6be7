"""Steps that return their variables in one array, as solvers of differential equations do."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from calling import HEADER
from generating import Generated, generate_text
from projects import gradgen
from test_methods import agree, opened, refusal

from gradgen.errors import GradgenError

ROWS = f"""{HEADER}
def slope(t, y, args):
    v, w = y
    a, tau = args
    return jnp.array([v - v**3 / 3 - w + a, (v + 0.7 - 0.8 * w) / tau])
"""
COLUMNS = f"""{HEADER}
from typing import NamedTuple


class Out(NamedTuple):
    y: jax.Array
    z: jax.Array


def step(y: jax.Array, x, tau=20.0):
    v = y[0] + (x - y[0]) / tau
    return {{"out": Out(jnp.stack([v, y[1] * x], axis=-1), v > 1.0)}}
"""
"""In a container, beside what is no float; the argument is annotated as an array."""


def of(folder: Path, text: str) -> tuple[Generated, Any]:
    """What is generated, and the function as the user has it."""
    generated = generate_text(folder, text)
    return generated, inspect.unwrap(generated.source)


def gradient(step: Any, *arguments: Any) -> Any:
    def loss(*arguments: Any) -> jax.Array:
        floats = [x for x in jax.tree.leaves(step(*arguments)) if x.dtype != bool]
        return sum(jnp.sum(jnp.sin(x)) for x in floats)

    return jax.jit(jax.grad(loss, tuple(range(len(arguments)))))(*arguments)


def test_rows_are_one_array_that_takes_one(tmp_path: Path) -> None:
    generated, source = of(tmp_path, ROWS)
    step = generated.function()
    for neurons in ((), (3,)):
        y = jnp.arange(1.0, 1.0 + 2 * jnp.zeros(neurons).size).reshape(2, *neurons) / 4
        arguments = 0.0, y, (jnp.full(neurons, 0.5), jnp.array(12.0))
        agree(step(*arguments), source(*arguments))
        agree(gradient(step, *arguments), gradient(source, *arguments))
        agree(jax.jit(step)(0.0, [*y], arguments[2]), source(*arguments))
    with pytest.raises(ValueError, match="2 parts in y, not 3"):
        step(0.0, jnp.ones((3, 2)), (0.5, 12.0))


def test_derivatives_of_rows_are_nested_as_those_of_an_array(tmp_path: Path) -> None:
    generated, source = of(tmp_path, ROWS)
    primals = 0.1, (0.3, -0.2), (0.5, 12.0)
    value, jacobian = generated.function("value_and_jacobian")(*primals)
    agree(value, source(*primals))
    agree(jacobian, jax.jacfwd(source, (0, 1, 2))(*primals))
    agree(generated.function("jvp")(primals, primals), jax.jvp(source, primals, primals))
    along = jnp.array([0.7, -1.3])
    agree(generated.function("vjp")(primals, along), jax.vjp(source, *primals)[1](along))
    for other in (jnp.ones(3), (0.7, -1.3), 1.0):
        with pytest.raises(ValueError, match="2 places along axis 0"):
            generated.function("vjp")(primals, other)


def test_columns_in_a_container_beside_truth_values(tmp_path: Path) -> None:
    generated, source = of(tmp_path, COLUMNS)
    arguments = jnp.arange(6.0).reshape(2, 3), jnp.linspace(0.1, 2.0, 3)
    value = generated.function()(*arguments)
    assert value["out"].y.shape == (3, 2)
    for found, due in zip(jax.tree.leaves(value), jax.tree.leaves(source(*arguments)), strict=True):
        agree(found, due)
    agree(gradient(generated.function(), *arguments), gradient(source, *arguments))


@pytest.mark.parametrize("text", [pytest.param(ROWS, marks=pytest.mark.full), COLUMNS])
def test_they_verify_with_all_functions(tmp_path: Path, text: str) -> None:
    path = tmp_path / "packed.py"
    path.write_text(text)
    done = gradgen(path, "-o", tmp_path / "packed_grad.py")
    assert done.exit_code == 0, done.stderr


@pytest.mark.parametrize(
    "returned",
    ["jnp.array([v > 0.0, w > 0.0]), v", "jnp.array([1.0, 2.0])", "jnp.outer(x, jnp.ones(2))",
     "jnp.ones(65) * v"],
)  # fmt: skip
def test_other_arrays_are_refused_or_of_functions_on_arrays(tmp_path: Path, returned: str) -> None:
    text = f"def f(y, x):\n    v, w = y\n    x = v * x\n    return {returned}\n"
    assert "array of shape" in refusal(tmp_path, text).message


def test_an_array_is_taken_apart_only_where_nothing_else_is_done_with_it(tmp_path: Path) -> None:
    def paths(body: str) -> list[str]:
        text = f"def f(s: jax.Array, x):\n    {body}\n"
        return [i.path for i in opened(tmp_path, text).trace.inputs]

    assert paths("v, i = s\n    return [v * x, i]") == ["s.0", "s.1", "x"]
    assert paths("v = s[0]\n    return [v * x]") == ["s.0", "x"]
    assert paths("return s * x") == ["s", "x"]
    for body in ("v, i = s\n    return v * i + s * x", "return s[-1] * x", "return s[:1] * x"):
        with pytest.raises(GradgenError, match="cannot be traced on scalars"):
            paths(body)
    stated = 'def f(s: Float[Array, "2 n"], x):\n    v, i = s\n    return v * i + x{}\n'
    header = "from jaxtyping import Array, Float\n"
    for more, due in (("", ["s.0", "s.1", "x"]), (" - x.mean()", ["s", "x"])):
        front = opened(tmp_path, header + stated.format(more), directives=())
        assert [i.path for i in front.trace.inputs] == due
