"""State with a column for each variable, moved in front to be unpacked, and stacked again."""

import jax.numpy as jnp

# gradgen: shape s=(n, 2) x=(n,)
# gradgen: next s=0


def fitzhugh_nagumo(s, x, a=0.7, b=0.8, tau=12.5, dt=0.1):
    v, w = jnp.moveaxis(s, -1, 0)
    dv = v - v**3 / 3.0 - w + x
    dw = (v + a - b * w) / tau
    return jnp.stack([v + dt * dv, w + dt * dw], axis=-1), jnp.tanh(v)
