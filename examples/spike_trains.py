"""Spike trains of two classes, and the loss of `models/networks/`, for the scripts `loss_*.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from steps import load

SIZES = {"first": (20, 32), "second": (32, 32), "out": (32, 2)}
"""The shapes of the weights."""
STEPS, BATCH = 50, 16

_SOURCE = load("models/networks/feedforward_loss.py")
Weights = _SOURCE.Weights
PLAIN: Callable[..., jax.Array] = _SOURCE.feedforward_loss
"""(weights, spike trains, labels) -> loss, as it is written, with its loop over time."""
GENERATED: Callable[..., jax.Array] = load(
    "generated/networks/feedforward_loss_grad.py"
).feedforward_loss


def initial(key: jax.Array, shape: tuple[int, ...], dtype: Any = float) -> jax.Array:
    """Weights with which neurons fire."""
    return 2.0 / shape[0] ** 0.5 * jax.random.normal(key, shape, dtype)


def batch(key: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Spike trains (steps, batch, channels) and their classes (batch,).

    In each class one half of the channels fires more often.
    """
    which, spikes = jax.random.split(key)
    labels = jax.random.randint(which, (BATCH,), 0, 2, dtype=jnp.int32)
    channels = jnp.arange(SIZES["first"][0]) % 2
    rates = jnp.where(channels == labels[:, None], 0.6, 0.1)
    return jax.random.bernoulli(spikes, rates, (STEPS, *rates.shape)).astype(float), labels
