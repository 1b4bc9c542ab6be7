"""The examples run, and show what they say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(
        f"example_{name}", ROOT / "examples" / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_online_learning(tmp_path, capsys):
    losses = load("online").main(tmp_path, rounds=20)
    assert losses[-1] < 0.8 * losses[0]
    assert float(capsys.readouterr().out.split(": ")[1].split()[0]) < 1e-5
