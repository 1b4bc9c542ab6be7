"""Targets on arrays: built, checked, stale, over budget, as those on neurons are."""

from __future__ import annotations

from pathlib import Path

import pytest
from projects import gradgen

LAYER = """
import jax.numpy as jnp


def layer(v, x, w, tau=0.9):
    return jnp.tanh(tau * v + x @ w)
"""
TARGET = """
[tool.gradgen.targets.layer]
source = "layer.py"
output = "layer_grad.py"
shapes = {v = "(batch, n)", x = "(batch, n_in)", w = "(n_in, n)"}
sizes = {n = 5, n_in = 7, batch = 3}
wrt = ["v", "w"]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "layer.py").write_text(LAYER)
    (tmp_path / "pyproject.toml").write_text(TARGET)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_from_build_to_stale(folder: Path) -> None:
    built = gradgen()
    assert built.exit_code == 0, built.stderr
    assert "layer_grad.py: written, on arrays: " in built.stderr
    text = (folder / "layer_grad.py").read_text()
    assert "layer, on arrays: counted at batch = 3, n = 5, n_in = 7." in text
    checked = gradgen("--check")
    assert checked.exit_code == 0, checked.stderr
    assert gradgen().exit_code == 0
    assert (folder / "layer_grad.py").read_text() == text
    (folder / "layer.py").write_text(LAYER.replace("jnp.tanh", "jnp.sin"))
    stale = gradgen("--check", "--no-verify")
    assert stale.exit_code == 1
    assert "the source of layer_grad.py has changed" in stale.stderr


@pytest.mark.usefixtures("trusted")
def test_sizes_are_part_of_the_configuration(folder: Path) -> None:
    assert gradgen().exit_code == 0
    (folder / "pyproject.toml").write_text(TARGET.replace("n = 5", "n = 50"))
    stale = gradgen("--check", "--no-verify")
    assert stale.exit_code == 1
    line = TARGET.splitlines().index("sizes = {n = 5, n_in = 7, batch = 3}") + 1
    assert f"pyproject.toml:{line}:1: stale: the configuration of layer_grad.py" in stale.stderr


@pytest.mark.usefixtures("trusted")
def test_budgets_count_elements(folder: Path) -> None:
    # a product for the input's cotangent is not taken: the weights' takes 3 * 7 * 5, tanh 3 * 5
    (folder / "pyproject.toml").write_text(TARGET + "max-muls = 134\n")
    over = gradgen()
    assert over.exit_code == 1
    assert "takes 135 multiplications, 1 over its budget of 134" in over.stderr
    (folder / "pyproject.toml").write_text(TARGET + "max-muls = 135\n")
    assert gradgen().exit_code == 0


@pytest.mark.usefixtures("trusted")
def test_the_command_line_states_shapes(folder: Path) -> None:
    made = gradgen(
        "layer.py", "-o", "other.py", "--shape", "v=(batch, n)", "--shape", "x=(batch, n_in)",
        "--shape", "w=(n_in, n)", "--size", "n=5", "--wrt", "v,w",
    )  # fmt: skip
    assert made.exit_code == 0, made.stderr
    text = (folder / "other.py").read_text()
    assert '"shape": ("v=(batch, n)", "x=(batch, n_in)", "w=(n_in, n)")' in " ".join(text.split())


@pytest.mark.usefixtures("trusted")
def test_an_example_is_part_of_what_a_file_was_made_from(folder: Path) -> None:
    example = "import jax.numpy as jnp\n\n\ndef given():\n    return {}\n"
    arrays = "jnp.ones((4, 5)), jnp.ones((4, 4)), jnp.ones((4, 5))"
    (folder / "given.py").write_text(example.format(arrays))
    shapes = 'shapes = {v = "(batch, n)", x = "(batch, n_in)", w = "(n_in, n)"}\nsizes = '
    target = TARGET.replace(shapes, 'example = "given.py:given"\nsizes = ')
    target = target.replace("{n = 5, n_in = 7, batch = 3}", "{n1 = 3, n2 = 5, n3 = 7}")
    (folder / "pyproject.toml").write_text(target)
    built = gradgen()
    assert built.exit_code == 0, built.stderr
    said = "the example says: # gradgen: shape v=(n1, n2) x=(n1, n3) w=(n3, n2)"
    assert said in built.stderr
    text = (folder / "layer_grad.py").read_text()
    assert "layer, on arrays: counted at n1 = 3, n2 = 5, n3 = 7." in text
    checked = gradgen("--check")
    assert checked.exit_code == 0, checked.stderr
    (folder / "given.py").write_text(example.format(arrays.replace("5", "6")))
    stale = gradgen("--check", "--no-verify")
    assert stale.exit_code == 1
    assert "given.py:1:1: stale: this module has changed" in stale.stderr


def test_what_there_is_not_for_arrays(folder: Path) -> None:
    source = "# gradgen: shape v=(batch, n) x=(batch, m) w=(m, n)\n" + LAYER
    (folder / "layer.py").write_text(source)
    for command in (("show", "layer.py"), ("report", "layer.py", "-o", "r.html")):
        refused = gradgen(*command)
        assert refused.exit_code == 2
        assert "there is no" in refused.stderr
        assert "of functions on arrays" in refused.stderr
