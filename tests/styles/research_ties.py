"""Plain research code: max, min, clip, abs, sign, floor and round, each with its ties."""

import jax.numpy as jnp


def rectified(v, ceiling, x):
    """Rectified integrator with a learned ceiling; quantised copies of the potential come along."""
    v = jnp.maximum(0.9 * v + x, 0.0)
    v = jnp.minimum(v, ceiling)
    gain = jnp.clip(v, -1.0, 1.0) + 0.1 * jnp.abs(x)
    gain += jnp.sign(x) * v
    quantised = jnp.floor(4 * v) / 4 + 0.01 * jnp.round(v) * x
    return v, gain, quantised
