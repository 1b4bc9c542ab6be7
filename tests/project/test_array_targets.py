"""Targets on arrays: built, checked, stale, over budget, as those on neurons are."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from typing import Any

import pytest
from projects import gradgen

from gradgen.compile.front import open_front
from gradgen.config import Settings
from gradgen.elimination.array_graphs import vjp_graph
from gradgen.elimination.arrays import reverse
from gradgen.search.arrays import portfolio
from gradgen.targets.jax.seal import UNSEALED, seal

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
    built = gradgen()
    assert built.exit_code == 0, built.stderr
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


RICH = """
# gradgen: shape x=(batch, n)
# gradgen: size batch=3 n=5
import jax.numpy as jnp


def layer(x):
    y = jnp.sin(x)
    for _ in range(2):
        y = jnp.tanh(y * jnp.sin(y))
    return y
"""
LOSS = """
# gradgen: shape w=(m, n) xs=(time, batch, m)
# gradgen: size time=11 batch=3 n=5 m=7
import jax
import jax.numpy as jnp


def layer(w, xs):
    def step(v, x):
        return jnp.tanh(jnp.sin(v) * v + jnp.tanh(v + x @ w)), None

    v = jnp.zeros((xs.shape[1], w.shape[1]), xs.dtype)
    return jnp.sum(jax.lax.scan(step, v, xs)[0])
"""
PLAIN = '[tool.gradgen.targets.layer]\nsource = "layer.py"\noutput = "layer_grad.py"\n'


@pytest.fixture
def plain(folder: Path, trusted: None) -> Path:
    """A target without options, and what is generated taken to be exact."""
    (folder / "pyproject.toml").write_text(PLAIN)
    return folder


def recorded(folder: Path) -> dict[str, dict[str, Any]]:
    namespace = runpy.run_path(str(folder / "layer_grad.py"))
    orders: dict[str, dict[str, Any]] = namespace["GRADGEN"]["orders"]
    return orders


def write(folder: Path, text: str) -> None:
    """The file, as if gradgen had written it so."""
    path = folder / "layer_grad.py"
    path.write_text(seal(text.replace(stated_digest(text), UNSEALED)))


def stated_digest(text: str) -> str:
    found = re.search(r'^    "text": "(.*)"', text, re.M)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("source", [RICH, LOSS])
def test_a_check_never_searches(source: str, plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (plain / "layer.py").write_text(source)
    assert gradgen("--debug").exit_code == 0
    orders = recorded(plain)
    assert {name.partition(",")[0] for name in orders} <= {"vjp", "jvp", "gradient"}
    assert any(", loop 1" in name for name in orders) == (source is LOSS)
    text = (plain / "layer_grad.py").read_text()

    def searching(*_: object) -> None:
        raise AssertionError("a search")

    monkeypatch.setattr(portfolio, "find_order", searching)
    checked = gradgen("--check", "--debug")
    assert checked.exit_code == 0, checked.stderr
    again = gradgen("--debug")
    assert again.exit_code == 0, again.stderr
    assert (plain / "layer_grad.py").read_text() == text
    anew = gradgen("--search-again", "--debug")
    assert anew.exit_code != 0
    assert "a search" in f"{anew.exception!r} {anew.stderr}"


def test_a_recorded_order_is_kept_and_called_optimal_only_if_it_may_be(plain: Path) -> None:
    (plain / "layer.py").write_text(RICH)
    assert gradgen("--debug").exit_code == 0
    best = recorded(plain)["vjp"]
    assert best["proved_optimal"]
    searched = (plain / "layer_grad.py").read_text()
    # a file whose order is that of reverse mode, and says that this is the best
    front = open_front(Settings("layer.py"))
    worse = reverse(vjp_graph(front.trace)).steps
    assert set(worse) == set(best["order"])
    places = dict(zip(best["order"], worse, strict=True))
    names = re.compile("|".join(map(re.escape, sorted(places, key=len, reverse=True))))
    head, entry, tail = re.split(r'("order": \(.*?\),)', searched, maxsplit=1, flags=re.S)
    entry = names.sub(lambda found: places[found[0]], entry)
    write(plain, head + entry + tail)
    stale = gradgen("--check", "--debug")
    assert stale.exit_code == 1
    assert "calls its order optimal, and there is no proof of that" in stale.stderr
    assert gradgen("--debug").exit_code == 0
    kept = recorded(plain)["vjp"]
    assert kept["order"] == worse
    assert "proved_optimal" not in kept
    assert gradgen("--check", "--debug").exit_code == 0
    assert gradgen("--search-again", "--debug").exit_code == 0
    assert recorded(plain)["vjp"] == best
    assert (plain / "layer_grad.py").read_text() == searched


def test_a_changed_graph_alone_is_searched_anew(plain: Path) -> None:
    (plain / "layer.py").write_text(LOSS)
    assert gradgen("--debug").exit_code == 0
    before = recorded(plain)
    (plain / "layer.py").write_text(LOSS.replace("jnp.sum(jax", "jnp.mean(jax"))
    changed = gradgen("--check", "--debug")
    assert changed.exit_code == 1
    assert "its graph is another one now" in changed.stderr
    built = gradgen("--debug")
    assert built.exit_code == 0, built.stderr
    assert "its graph is another one now, so that an order was searched for again" in built.stderr
    after = recorded(plain)
    assert after["vjp"]["graph"] != before["vjp"]["graph"]
    assert after["vjp, loop 1"] == before["vjp, loop 1"]
    # another name of what is computed is no other graph
    (plain / "layer.py").write_text(
        LOSS.replace("jnp.sum(jax", "jnp.mean(jax").replace("v = jnp.zeros", "start = jnp.zeros")
        .replace("step, v, xs", "step, start, xs")
    )  # fmt: skip
    assert gradgen("--debug").exit_code == 0
    assert recorded(plain) == after


@pytest.mark.parametrize(
    "said", ["()", '("nothing",)', "None", "{}", '"markowitz"', '"order": ("sin", 3)']
)
def test_an_order_that_is_none_is_searched_for(said: str, plain: Path) -> None:
    (plain / "layer.py").write_text(RICH)
    assert gradgen("--debug").exit_code == 0
    searched = (plain / "layer_grad.py").read_text()
    broken = re.sub(r'"order": \(.*?\),', f'"order": {said},', searched, count=1, flags=re.S)
    write(plain, broken)
    assert gradgen("--check", "--debug").exit_code == 1
    built = gradgen("--debug")
    assert built.exit_code == 0, built.stderr
    assert (plain / "layer_grad.py").read_text() == searched
