"""Arguments of the losses in `models/networks/`: weights with which neurons fire, sparse spikes.

The tests take them as well, at small sizes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Sizes = Mapping[str, int]
"""Of the axes that a source states, by their names."""


@dataclass
class Draws:
    """Random arrays of one precision, at some sizes."""

    sizes: Sizes
    dtype: str
    rate: float
    """Of input spikes, a step."""
    rng: np.random.Generator

    def shape(self, axes: str) -> tuple[int, ...]:
        """The sizes of axes such as `time batch 4*m`."""
        found = []
        for axis in axes.split():
            number, _, name = axis.rpartition("*")
            found.append(int(number or 1) * (int(name) if name.isdigit() else self.sizes[name]))
        return tuple(found)

    def normal(self, axes: str, scale: float = 1.0, mean: float = 0.0) -> jax.Array:
        """Normally distributed; a matrix is scaled by the root of its first axis."""
        shape = self.shape(axes)
        scale = scale / shape[0] ** 0.5 if len(shape) == 2 else scale
        return jnp.asarray(mean + scale * self.rng.normal(size=shape), self.dtype)

    def spikes(self, axes: str, rate: float | None = None) -> jax.Array:
        """0 or 1."""
        chance = self.rate if rate is None else rate
        return jnp.asarray(self.rng.uniform(size=self.shape(axes)) < chance, self.dtype)

    def numbers(self, axes: str, end: int) -> jax.Array:
        """Integers below an end."""
        return jnp.asarray(self.rng.integers(0, end, self.shape(axes)), jnp.int32)

    def conductances(self, axes: str, mean: float) -> jax.Array:
        """What softplus makes small conductances of, the smaller the more senders there are."""
        senders = self.shape(axes)[0]
        offset = mean - float(np.log(max(senders / 10, 1.0)))
        return jnp.asarray(offset + self.rng.normal(size=self.shape(axes)), self.dtype)


def arguments(
    name: str, source: Any, sizes: Sizes, dtype: str = "float32", rate: float = 0.05
) -> tuple[Any, ...]:
    """Arguments of a loss; `source` is its module, in which the type of its parameters is."""
    draws = Draws(sizes, dtype, rate, np.random.default_rng(0))
    params, *rest = _DRAWN[name](draws)
    kind = getattr(source, "Weights", None) or source.Params
    return (kind(**params), *rest)


def _labelled(draws: Draws, params: dict[str, jax.Array]) -> tuple[Any, ...]:
    labels = draws.numbers("batch", draws.sizes["n_out"])
    return params, draws.spikes("time batch n_in"), labels


def _recurrent(draws: Draws) -> tuple[Any, ...]:
    shapes = {"w": ("n_in n", 8.0), "v": ("n n", 1.0), "u": ("n n_out", 1.0)}
    return _labelled(draws, {k: draws.normal(*v) for k, v in shapes.items()})


def _feedforward(draws: Draws) -> tuple[Any, ...]:
    shapes = {"first": ("n_in n", 8.0), "second": ("n n", 4.0), "out": ("n n_out", 1.0)}
    return _labelled(draws, {k: draws.normal(*v) for k, v in shapes.items()})


def _rate(draws: Draws) -> tuple[Any, ...]:
    shapes = {"w1": ("n_in n", 3.0), "w2": ("n n", 3.0), "out": ("n n_out", 1.0)}
    return _labelled(draws, {k: draws.normal(*v) for k, v in shapes.items()})


def _delayed(draws: Draws) -> tuple[Any, ...]:
    return (*_recurrent(draws), draws.numbers("n", 6))


def _stepwise(draws: Draws) -> tuple[Any, ...]:
    params = {"w": draws.normal("n_in n", 6.0), "u": draws.normal("n n_out")}
    params["bias"] = draws.normal("n_out")
    labels = draws.numbers("batch", draws.sizes["n_out"])
    return params, draws.spikes("batch time n_in"), labels


def _ei(draws: Draws) -> tuple[Any, ...]:
    params = {
        "w_in": draws.conductances("n_in 5*m", -1.0),
        "w_e": draws.conductances("4*m 5*m", -2.0),
        "w_i": draws.conductances("m 5*m", -1.0),
        "out": draws.normal("5*m n_out"),
    }
    return params, draws.spikes("time batch n_in"), draws.normal("time batch n_out")


def _hodgkin_huxley(draws: Draws) -> tuple[Any, ...]:
    params = {
        "w": draws.normal("n_in n", 20.0),
        "gNa": draws.normal("n", mean=120.0),
        "gK": draws.normal("n", mean=36.0),
    }
    return params, draws.spikes("time batch n_in"), draws.normal("time batch n", mean=-60.0)


def _convolutional(draws: Draws) -> tuple[Any, ...]:
    params = {
        "k1": draws.normal("c 2 3 3"),
        "b1": draws.normal("c"),
        "k2": draws.normal("c c 3 3"),
        "b2": draws.normal("c"),
        "out": draws.normal("c h h n_out", 0.3),
    }
    labels = draws.numbers("batch", draws.sizes["n_out"])
    return params, draws.spikes("time batch 2 4*h 4*h"), labels


def _van_rossum(draws: Draws) -> tuple[Any, ...]:
    params = {"w": draws.normal("n_in n", 8.0), "v": draws.normal("n n")}
    return params, draws.spikes("time batch n_in"), draws.spikes("time batch n", 0.05)


def _heterogeneous(draws: Draws) -> tuple[Any, ...]:
    params = {
        "w": draws.normal("n_in n", 8.0),
        "v": draws.normal("n n"),
        "bias": draws.normal("n", 0.1),
        "u": draws.normal("n n_out"),
        "tau_v": draws.normal("n", mean=3.0),
        "tau_i": draws.normal("n", mean=2.0),
        "threshold": draws.normal("n", 0.2),
        "leak": draws.normal(""),
    }
    return _labelled(draws, params)


_DRAWN = {
    "recurrent_loss": _recurrent,
    "feedforward_loss": _feedforward,
    "delayed_loss": _delayed,
    "stepwise_loss": _stepwise,
    "rate_loss": _rate,
    "ei_loss": _ei,
    "hodgkin_huxley_loss": _hodgkin_huxley,
    "convolutional_loss": _convolutional,
    "van_rossum_loss": _van_rossum,
    "heterogeneous_loss": _heterogeneous,
}
