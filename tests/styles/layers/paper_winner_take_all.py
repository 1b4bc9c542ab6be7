"""Winner take all: the largest potential alone spikes, and inhibits the others."""

# gradgen: shape v=(batch, n) x=(batch, m) w=(m, n) trace=(batch, n)

import jax
import jax.numpy as jnp


def wta(v, trace, x, w, inhibition=0.5):
    current = x @ (w / jnp.linalg.norm(w, axis=0, keepdims=True))
    v = 0.9 * v + current - 0.1 * trace
    winner = jax.nn.one_hot(jnp.argmax(v, axis=-1), v.shape[-1], dtype=v.dtype)
    soft = jax.nn.softmax(10.0 * v, axis=-1)
    z = soft + jax.lax.stop_gradient(winner - soft)
    v = v - inhibition * (jnp.sum(z, -1, keepdims=True) - z) - z * v
    trace = 0.95 * trace + z
    return v, trace
