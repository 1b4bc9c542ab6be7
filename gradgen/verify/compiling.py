"""How XLA compiles what is compared: in which precision, and what it may change."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax

OPTIMISED: dict[str, Any] = {"xla_backend_optimization_level": 3}
"""Options with which XLA compiles as it does by default, whatever the environment says."""


@contextmanager
def precision(dtype: str, *, with_64_bits: bool = False) -> Iterator[None]:
    """On the CPU, with 64-bit types if that is the dtype, or they are asked for beside another."""
    wide = with_64_bits or dtype == "float64"
    with jax.enable_x64(wide), jax.default_device(jax.devices("cpu")[0]):
        yield
