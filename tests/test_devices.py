"""On a mesh of four devices: the gradients of JAX, and no more communication than its own."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from typing import Any

import jax
import numpy as np
import pytest
from generating import ROOT


def on_four_devices(what: str) -> dict[str, Any]:
    """What `four_devices.py` finds."""
    settings = {
        "XLA_FLAGS": "--xla_force_host_platform_device_count=4",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",
    }
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "four_devices.py"), what],
        env=os.environ | settings,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.full
@pytest.mark.parametrize("what", ["layer", "network"])
def test_gradients_are_those_of_one_device(what):
    for how, found in on_four_devices(what).items():
        assert found["off"] < 1e-12, how
        assert found["more"] <= 0, how


@pytest.mark.full
def test_training_on_four_devices_is_training_on_one(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    with jax.enable_x64(True):
        alone = importlib.import_module("data_parallel").main(updates=5)
    for style, losses in on_four_devices("training").items():
        np.testing.assert_allclose(losses, alone[style], rtol=1e-9)
