"""The examples run, and show what they say."""

from __future__ import annotations

import importlib
from types import ModuleType

import pytest
from generating import ROOT


@pytest.fixture
def example(monkeypatch):
    """Imports an example, as the command line would run it, if its library is installed."""
    monkeypatch.syspath_prepend(ROOT / "examples")

    def load(name: str, library: str = "jax") -> ModuleType:
        pytest.importorskip(library)
        return importlib.import_module(name)

    return load


def test_online_learning(example):
    difference, losses = example("online").main(rounds=20)
    assert difference < 1e-5
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.full
def test_online_learning_of_layers(example):
    difference, online, behind = example("online_layers").main(rounds=40)
    assert difference < 1e-5
    assert online[-1] < 0.8 * behind[0]
    # updates within a presentation do about as well as those after it
    assert abs(online[-1] - behind[-1]) < 0.1 * behind[-1]


@pytest.mark.full
def test_eprop(example):
    alike, eprop, behind = example("online_recurrent").main(updates=60)
    assert alike["out"] > 0.999  # what the layer does is the same
    assert min(alike["w"], alike["r"]) > 0.3
    assert eprop[-1] < 0.5 * eprop[0]
    assert behind[-1] < 0.5 * behind[0]


def test_scan(example):
    assert example("scan").main() < 1e-5


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("equinox_cell", "equinox"),
        pytest.param("flax_cell", "flax", marks=pytest.mark.full),
        pytest.param("haiku_core", "haiku", marks=pytest.mark.full),
    ],
)
def test_cells(example, name, library):
    difference, losses = example(name, library).main(rounds=30)
    assert difference < 1e-5
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.parametrize(
    ("name", "library"),
    [
        ("loss_jax", "optax"),
        pytest.param("loss_equinox", "equinox", marks=pytest.mark.full),
        pytest.param("loss_flax", "flax", marks=pytest.mark.full),
        pytest.param("loss_haiku", "haiku", marks=pytest.mark.full),
    ],
)
def test_whole_losses(example, name, library):
    difference, losses = example(name, library).main(updates=30)
    assert difference < 1e-5
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])


@pytest.mark.full
def test_training_on_patterns(example):
    patterns = example("patterns")
    for task, runs in patterns.main(quick=True):
        for name in ("generated step", "generated loss"):
            plain, generated = runs["plain step"], runs[name]
            # sums over time in another order, with float32
            bound = 1e-6 if task.double or name == "generated step" else 1e-4
            assert patterns.difference(runs, name) < bound
            assert len(generated.losses) == task.updates
            assert generated.memory > 0
            assert sum(generated.losses[-5:]) < sum(generated.losses[:5])
            if task.model == "hodgkin_huxley":
                assert generated.memory < plain.memory / 2
