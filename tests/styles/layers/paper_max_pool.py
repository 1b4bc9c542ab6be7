"""Convolution, maximum pooling and LIF, then a dense layer on what is flattened."""

# gradgen: shape x=(batch, 1, 8, 8) k=(3, 1, 3, 3) v=(batch, 3, 4, 4) o=(batch, c) w=(48, c)
# gradgen: next v=0 o=1

import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _spike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (1 + jnp.abs(x)) ** 2


def pooled_step(v, o, x, k, w):
    y = lax.conv(x, k, (1, 1), "SAME")
    y = lax.reduce_window(y, -jnp.inf, lax.max, (1, 1, 2, 2), (1, 1, 2, 2), "VALID")
    v = 0.9 * v + y
    z = spike(v - 1.0)
    flat = z.reshape(z.shape[0], -1)
    o = 0.95 * o + flat @ w
    return v - z, o
