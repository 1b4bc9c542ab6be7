"""The steps that the examples use: a source's own, and the one that gradgen generates for it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp

ROOT = Path(__file__).resolve().parent.parent


def load(path: str) -> ModuleType:
    """The module in a file of this repository."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def generate(source: str, *options: str) -> ModuleType:
    """The module that `gradgen SOURCE OPTIONS` writes."""
    command = [sys.executable, "-m", "gradgen", source, "--quiet", *options]
    text = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout
    module = ModuleType(f"{Path(source).stem}_grad")
    exec(text, module.__dict__)
    return module


def relative_difference(found: Any, expected: Any) -> float:
    """The largest difference between the arrays of two pytrees, over the largest entry of each."""

    def difference(x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.max(jnp.abs(x - y)) / jnp.max(jnp.abs(y))

    return float(max(jax.tree.leaves(jax.tree.map(difference, found, expected))))
