"""Plain research code: the refractory counter again with jnp.where, on arrays of any shape."""

from typing import NamedTuple

import jax.numpy as jnp


class Cell(NamedTuple):
    v: float
    count: int


def step(cell: Cell, drive, tau=10.0, v_th=1.0):
    """LIF neuron with an absolute refractory period of three steps and a boolean spike."""
    v_free = cell.v + (drive - cell.v) / tau
    v = jnp.where(cell.count > 0, cell.v, v_free)
    spike = (v >= v_th) & (cell.count == 0)
    v = jnp.where(spike, 0.0, v)
    count = jnp.where(spike, 3, jnp.maximum(cell.count - 1, 0))
    return Cell(v, count), spike
