"""Plain research code: an unguarded square root behind jnp.where.

Below the threshold jax.jacrev gives NaN (zero times the infinite or undefined slope of the branch
that was not taken) while jax.jacfwd is finite.
"""

import jax.numpy as jnp


def rate_step(v, x, decay=0.9, theta=0.5):
    """Leaky integrator whose firing rate rises with the square root of the overshoot."""
    v = decay * v + x
    rate = jnp.where(v > theta, jnp.sqrt(v - theta), 0.0)
    return v, rate
