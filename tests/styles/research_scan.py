"""Plain research code: lax.scan over three fixed sub-steps, their lengths in a constant array."""

import jax.numpy as jnp
from jax import lax

FRACTIONS = [0.25, 0.5, 0.25]


def split_step(carry, x, tau=5.0, theta=0.8):
    """Leaky integrator with a soft threshold; also returns what each sub-step emitted, summed."""
    v, trace = carry["v"], carry["trace"]
    fractions = jnp.asarray(FRACTIONS, jnp.result_type(v))

    def substep(inner, fraction):
        v, trace = inner
        v = v + fraction * (x - v) / tau
        out = jnp.tanh(v - theta)
        return (v, trace + fraction * out), out * out

    (v, trace), emitted = lax.scan(substep, (v, trace), fractions)
    return {"v": v, "trace": trace}, jnp.sum(emitted, axis=0)
