"""A few steps of an input written out in Python, indexed by numbers, stacked at the end."""

# gradgen: shape v=(batch, n) x=(4, batch, m) w=(m, n)

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _spike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2


def unrolled(v, x, w):
    current = x @ w
    spikes = []
    for t in range(current.shape[0]):
        v = 0.9 * v + current[t]
        z = spike(v - 1.0)
        v = v - z
        spikes.append(z)
    return v, jnp.stack(spikes)
