"""After van Rossum 2001: filtered spikes and targets, and their squared distance."""

# gradgen: shape v=(batch, n) f=(batch, n) g=(batch, n) x=(batch, m) target=(batch, n) w=(m, n)
# gradgen: wrt w, v, f, g
# gradgen: next v=1.0 f=1.1 g=1.2
# gradgen: range target=0:1

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _spike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2


def van_rossum(w, v, f, g, x, target, tau=5.0):
    decay = jnp.exp(-1 / tau)
    v = 0.9 * v + x @ w
    z = spike(v - 1.0)
    f = decay * f + z
    g = decay * g + (target > 0.8)
    distance = jnp.sum((f - g) ** 2, axis=-1) / tau
    return jnp.mean(distance), (v - z, f, g)
