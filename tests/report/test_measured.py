"""`gradgen report --measure`: what is measured is what JAX and the text compute; refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax
from projects import gradgen

from gradgen.frontend.tracing.checkpointed import with_checkpoints
from gradgen.verify import timing

LOSS = '''"""A loss over time."""
# gradgen: shape w=(m, n) xs=(time, batch, m)
# gradgen: size time=11 batch=3 n=5 m=7
import jax
import jax.numpy as jnp


def loss(w, xs):
    def step(v, x):
        v = jnp.tanh(0.9 * v + x @ w)
        return v, jnp.sum(v)

    return jnp.sum(jax.lax.scan(step, jnp.zeros((xs.shape[1], w.shape[1])), xs)[1])
'''
LAYER = """# gradgen: shape v=(batch, n) x=(batch, m) w=(m, n)
import jax.numpy as jnp


def layer(v, x, w):
    return jnp.tanh(0.9 * v + x @ w), v
"""
WINDOWS = """# gradgen: shape x=(batch, c, h) w=(d, c, k)
# gradgen: size h=3 k=5 batch=2 c=2 d=3
import jax


def f(x, w):
    return jax.lax.conv_general_dilated(x, w, (1,), "VALID")
"""
STEP = "def step(v, x):\n    return 0.9 * v + x\n"


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch, trusted: None) -> None:
    monkeypatch.setattr(timing, "ROUNDS", 3)
    monkeypatch.setattr(timing, "SECONDS", 0.0)


def measured(folder: Path, text: str) -> Any:
    """What a report in JSON has under `times`."""
    path = folder / "source.py"
    path.write_text(text)
    result = gradgen("report", path, "--measure", "--format", "json", "-q")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["models"][0]["times"]


def test_a_loss_over_time(tmp_path: Path) -> None:
    times = measured(tmp_path, LOSS)
    names = ["jax.grad", "checkpoint", "this file"]
    assert [(p["title"], [t["name"] for t in p["programs"]]) for p in times["parts"]] == [
        ("forward pass", names),
        ("backward pass", names),
        ("value and gradient", ["jax.grad", "again", "checkpoint", "this file"]),
    ]
    assert (times["rounds"], times["dtype"]) == (3, "float32")
    assert dict(times["sizes"]) == {"time": 11, "batch": 3, "n": 5, "m": 7}
    for part in times["parts"]:
        assert part["programs"][0]["ratio"] == 1.0
        assert all(timed["milliseconds"] > 0.0 < timed["ratio"] for timed in part["programs"])


def test_a_layer_has_no_loop_to_checkpoint(tmp_path: Path) -> None:
    *_, whole = measured(tmp_path, LAYER)["parts"]
    assert whole["title"] == "value and vector-Jacobian product"
    assert [t["name"] for t in whole["programs"]] == ["jax.grad", "again", "this file"]
    assert all(timed["megabytes"] is not None for timed in whole["programs"])


@pytest.mark.parametrize("form", ["html", "md"])
def test_pages_show_it(tmp_path: Path, form: str) -> None:
    path = tmp_path / "source.py"
    path.write_text(LOSS)
    shown = gradgen("report", path, "--measure", "--format", form, "-q").stdout
    plain = gradgen("report", path, "--format", form, "-q").stdout
    assert "What the passes take" in shown
    assert "What the passes take" not in plain
    assert ("Value and gradient" if form == "html" else "| value and gradient | again |") in shown
    assert "Medians over 3 rounds" in shown
    assert f"JAX {jax.__version__}" in shown


def test_what_takes_turns_computes_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: dict[Any, Any] = {}

    def called(programs: Any, arguments: Any, rounds: int) -> Any:
        found.update({key: jax.tree.leaves(program()) for key, program in programs.items()})
        return {key: [1.0] * rounds for key in programs}

    monkeypatch.setattr(timing, "take_turns", called)
    measured(tmp_path, LOSS)
    whole = [leaves for (part, _), leaves in found.items() if part.startswith("value")]
    assert len(whole) == 4
    for leaves in whole[1:]:
        for shape in ((), (7, 5)):
            one, other = (
                next(leaf for leaf in some if leaf.shape == shape) for some in (leaves, whole[0])
            )
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)
    backward = [leaves for (part, _), leaves in found.items() if part == "backward pass"]
    for leaves in backward[1:]:
        np.testing.assert_allclose(leaves[0], backward[0][0], rtol=1e-5, atol=1e-4)


def test_steps_of_neurons_are_refused_and_the_hint_followed(tmp_path: Path) -> None:
    path = tmp_path / "neuron.py"
    path.write_text(STEP)
    result = gradgen("report", path, "--measure", "-o", tmp_path / "out.html")
    assert result.exit_code == 2
    assert f"{path}:1:1: error: 'step' is a step of neurons" in result.stderr
    assert "hint: report on a loss that has the loop, or leave out --measure" in result.stderr
    assert not (tmp_path / "out.html").exists()
    assert gradgen("report", path, "-o", tmp_path / "out.html").exit_code == 0
    loop = "\n\n# gradgen: shape xs=(time, n)\ndef loss(xs):\n    import jax, jax.numpy as jnp\n"
    loop += "    v, _ = jax.lax.scan(lambda v, x: (step(v, x), None), xs[0], xs)\n"
    path.write_text(STEP + loop + "    return jnp.sum(v)\n")
    assert gradgen("report", f"{path}:loss", "--measure", "-q").exit_code == 0


def test_sizes_at_which_nothing_comes_out(tmp_path: Path) -> None:
    path = tmp_path / "source.py"
    path.write_text(WINDOWS)
    result = gradgen("report", path, "--measure", "-o", tmp_path / "out.html")
    assert result.exit_code == 2
    said = "'f' cannot be measured at batch=2, c=2, d=3, h=3, k=5: an array has no elements"
    assert f"{path}:6:1: error: {said}" in result.stderr
    assert "hint: state sizes that it runs at, as in # gradgen: size" in result.stderr
    assert not (tmp_path / "out.html").exists()
    path.write_text(WINDOWS.replace("h=3", "h=9"))
    assert gradgen("report", path, "--measure", "-q").exit_code == 0


def test_all_targets_are_refused(tmp_path: Path) -> None:
    result = gradgen("report", "--all", "-o", tmp_path / "reports", "--measure")
    assert result.exit_code == 2
    assert "name a SOURCE instead" in result.stderr
    assert not (tmp_path / "reports").exists()


def _layers(v: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
    v = jnp.tanh(0.9 * v + jax.nn.relu(x))
    return lax.scan(lambda v, _: (jnp.sin(v), None), v, length=3)[0], jnp.sum(v)


def _loop(how: dict[str, Any], wrapped: Callable[..., Any] = lambda f: f) -> Callable[..., Any]:
    @jax.jit
    def inner(scale: jax.Array, xs: jax.Array) -> Any:
        def step(v: jax.Array, x: jax.Array) -> Any:
            return _layers(v, scale * x)

        return lax.scan(wrapped(step), jnp.zeros(64), xs, **how)

    def loss(scale: jax.Array, xs: jax.Array) -> jax.Array:
        v, sums = inner(scale, xs)
        return jnp.sum(v) + jnp.sum(sums**2)

    return loss


@pytest.mark.parametrize("how", [{}, {"reverse": True, "unroll": 2}])
def test_checkpoints_are_those_that_a_person_writes(how: dict[str, Any]) -> None:
    arguments = jnp.float32(0.3), jnp.linspace(-1.0, 1.0, 100 * 64).reshape(100, 64)
    plain = _loop(how)
    found = with_checkpoints(plain, *arguments)
    assert found is not None
    by_hand = _loop(how, partial(jax.checkpoint, prevent_cse=False))

    def compiled(function: Callable[..., Any]) -> Any:
        return jax.jit(jax.value_and_grad(function, (0, 1))).lower(*arguments).compile()

    ours, due = compiled(found), compiled(by_hand)
    for one, other in zip(*map(jax.tree.leaves, (ours(*arguments), due(*arguments))), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    memory = [p.memory_analysis().temp_size_in_bytes for p in (ours, due, compiled(plain))]
    assert memory[0] == memory[1] < memory[2]


def test_a_function_without_loops_has_no_checkpoints() -> None:
    assert with_checkpoints(jax.jit(jnp.tanh), 1.0) is None
