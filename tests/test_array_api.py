"""gradgen as a library for functions on arrays: layers and losses of a running program."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from projects import gradgen as command

import gradgen
from gradgen.compile import array_generation
from gradgen.verify.verdict import Verdict

SOURCE = """
import jax
import jax.numpy as jnp


def layer(v, x, w, tau=0.9):
    return jnp.tanh(tau * v + x @ w)


def loss(w, xs):
    def step(v, x):
        return jnp.tanh(0.5 * v + x @ w), None

    v = jnp.zeros((xs.shape[1], w.shape[1]), xs.dtype)
    return jnp.mean(jax.lax.scan(step, v, xs)[0] ** 2)


def rich(x):
    y = jnp.sin(x)
    for _ in range(2):
        y = jnp.tanh(y * jnp.sin(y))
    return y
"""
SHAPES = {"v": "(batch, n)", "x": "(batch, m)", "w": "(m, n)"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    path = tmp_path_factory.mktemp("api") / "arrays_of_this_test.py"
    path.write_text(SOURCE)
    specification = importlib.util.spec_from_file_location(path.stem, path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    sys.modules[path.stem] = module
    specification.loader.exec_module(module)
    yield module
    del sys.modules[path.stem]


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is generated taken to be exact."""
    verdict = Verdict(0, 0, 0, (), (), ())
    monkeypatch.setattr(array_generation, "verify_arrays", lambda *_, **__: verdict)


@pytest.fixture(scope="module")
def loss(source: Any) -> gradgen.Differentiated:
    """By example, and verified."""
    rng = np.random.default_rng(0)
    example = jnp.asarray(rng.normal(size=(4, 3))), jnp.asarray(rng.normal(size=(12, 2, 4)))
    return gradgen.differentiate(source.loss, example=example)


def arrays(*shapes: tuple[int, ...]) -> list[jax.Array]:
    rng = np.random.default_rng(1)
    return [jnp.asarray(rng.normal(size=shape), "float32") for shape in shapes]


def test_a_loss_by_example_gives_the_gradient_of_jax(
    loss: gradgen.Differentiated, source: Any
) -> None:
    assert loss.report.exact
    w, xs = arrays((5, 2), (9, 3, 5))  # sizes stay open
    value, (gradient,) = loss.value_and_grad(w, xs)
    due = jax.value_and_grad(source.loss)(w, xs)
    np.testing.assert_allclose(value, due[0], rtol=1e-5)
    np.testing.assert_allclose(gradient, due[1], rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(jax.grad(loss.f)(w, xs), due[1], rtol=1e-4, atol=1e-7)
    assert "on arrays" in repr(loss)
    assert "loss with respect to w" in repr(loss)
    with pytest.raises(AttributeError, match="of functions on arrays only emit= asks for it"):
        loss.jacobian  # noqa: B018


def test_shapes_as_arguments_are_those_of_the_command(
    source: Any, trusted: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(source.__file__).parent)
    sizes = {"n": 5, "m": 7, "batch": 3}
    found = gradgen.differentiate(source.layer, shapes=SHAPES, sizes=sizes, wrt=("v", "w"))
    options = [part for k, axes in SHAPES.items() for part in ("--shape", f"{k}={axes}")]
    options += [part for k, number in sizes.items() for part in ("--size", f"{k}={number}")]
    made = command(f"{source.__file__}:layer", *options, "--wrt", "v,w", "--debug", "-q")
    assert made.exit_code == 0, made.stderr
    assert found.source == made.stdout
    # x.T @ d and tanh's derivative
    assert found.counts["vjp"]["accumulation"]["muls"] == 3 * 7 * 5 + 2 * 3 * 5
    v, x, w = arrays((2, 4), (2, 6), (6, 4))
    value, pullback = jax.vjp(lambda v, w: source.layer(v, x, w), v, w)
    for ours, due in zip(found.vjp((v, x, w), value), pullback(value), strict=True):
        np.testing.assert_allclose(ours, due, rtol=1e-5, atol=1e-6)
    assert found.write(tmp_path / "layer_grad.py")
    assert not found.write(tmp_path / "layer_grad.py")


def test_orders_come_back(source: Any, trusted: None) -> None:
    shapes = {"x": "(batch, n)"}
    found = gradgen.differentiate(source.rich, shapes=shapes)
    assert found.order.proved_optimal
    graph = gradgen.graph(source.rich, shapes=shapes)
    assert graph.fingerprint == found.order.fingerprint == found.graph.fingerprint
    searched = gradgen.search(graph)
    assert (searched.order, searched.proved) == (found.order, True)
    assert searched.cost == found.counts["vjp"]["accumulation"]["muls"]
    baselines = dict(searched.baselines)
    assert baselines["reverse"] == found.counts["vjp"]["accumulation"]["reverse"]
    assert searched.cost < min(baselines["reverse"], baselines["forward"])
    again = gradgen.differentiate(source.rich, shapes=shapes, order=searched.order)
    assert again.order.steps == found.order.steps
    assert not again.order.proved_optimal
    assert again.order.found_by == "given order"
    with pytest.raises(gradgen.GradgenError, match="this order is for another graph"):
        gradgen.differentiate(source.layer, shapes=SHAPES, order=searched.order)
    least = gradgen.search(graph, objective="peak")
    assert least.cost <= min(cost for _, cost in least.baselines)
    with pytest.raises(gradgen.GradgenError, match="eliminated, for muls, peak, locality, ops"):
        gradgen.search(graph, objective="adds")


class Closing(HTMLParser):
    """Checks that elements are closed in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_notebook_shows_counts_and_the_graph(loss: gradgen.Differentiated) -> None:
    show: Callable[[], str] = loss._repr_html_
    page = show()
    parser = Closing()
    parser.feed(page)
    assert parser.open == []
    assert f"{loss.counts['vjp']['total']:,} (" in page
    assert "vector-Jacobian product" in page
    assert "data:image/svg+xml;base64," in page


def test_what_does_not_fit_is_refused(source: Any) -> None:
    with pytest.raises(gradgen.GradgenError, match="which is not an argument"):
        gradgen.differentiate(source.layer, shapes={**SHAPES, "q": "(n,)"})
    with pytest.raises(gradgen.GradgenError, match="which is no axis"):
        gradgen.differentiate(source.layer, shapes=SHAPES, sizes={"k": 3})
