"""Plain research code: lax.switch between three regimes of the membrane.

Written for one neuron and vmapped by the caller: lax.switch takes a scalar index.
"""

import jax.numpy as jnp
from jax import lax


def piecewise(v, current):
    """Piecewise membrane: linear below -0.5, quadratic up to 0.5, saturating above."""
    regime = jnp.asarray(v > -0.5, jnp.int32) + jnp.asarray(v > 0.5, jnp.int32)
    slope = lax.switch(
        regime,
        [lambda u: -0.1 * u, lambda u: u * u - 0.2, lambda u: 0.05 * jnp.exp(-u)],
        v,
    )
    return v + 0.1 * (slope + current)
