"""Plain research code: lax.cond on a refractory counter, integer state, boolean spike output.

Written for one neuron and vmapped by the caller: lax.cond takes a scalar predicate.
"""

import jax.numpy as jnp
from jax import lax


def _integrate(v, drive):
    return v + 0.05 * (-v + drive + 0.3 * v * v)


def _hold(v, drive):
    return 0.5 * v


def refractory_step(v, refractory: int, drive, v_th=1.0, v_reset=-0.2):
    """Quadratic integrate-and-fire neuron that ignores its input for four steps after a spike."""
    ready = refractory <= 0
    v = lax.cond(ready, _integrate, _hold, v, drive)
    spiked = v > v_th
    v = jnp.where(spiked, v_reset, v)
    refractory = jnp.where(spiked, 4, jnp.maximum(refractory - 1, 0))
    return v, refractory, spiked
