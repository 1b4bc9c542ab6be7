"""Style of spyx: potential and threshold side by side in one array, split and concatenated."""

import jax
import jax.numpy as jnp

# gradgen: shape s=(batch, 2*n) x=(batch, n)
# gradgen: next s=1


def alif(x, s, beta=0.9, gamma=0.8):
    v, t = jnp.split(s, 2, -1)
    theta = 1.0 + t
    z = jax.nn.sigmoid(4.0 * (v - theta))
    v = beta * v + x - z * theta
    t = gamma * t + (1.0 - gamma) * z
    return z, jnp.concatenate([v, t], axis=-1)
