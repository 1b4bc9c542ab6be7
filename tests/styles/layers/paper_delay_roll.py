"""Axonal delays: spikes in a buffer that is rolled, which each synapse reads at its delay."""

# gradgen: shape buffer=(6, n) v=(n,) x=(n,) w=(n, n) delays=(n, n):int32
# gradgen: range delays=0:5
# gradgen: wrt buffer, v, x, w
# gradgen: next v=0 buffer=1

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _spike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (1.0 + jnp.abs(x)) ** 2


def delayed(v, buffer, x, w, delays, alpha=0.9):
    n = v.shape[0]
    arriving = buffer[delays, jnp.arange(n)[:, None]]
    v_next = alpha * v + x + jnp.sum(w * arriving, axis=0)
    z = spike(v_next - 0.5)
    buffer_next = jnp.roll(buffer, 1, axis=0).at[0].set(z)
    return v_next * (1 - z), buffer_next, z
