"""Weights of few levels, trained straight through the rounding; events that count how often."""

# gradgen: shape v=(batch, n) x=(batch, m) w=(m, n) scale=(n,) events=(batch, n):int32
# gradgen: range scale=0.1:1
# gradgen: wrt v, x, w, scale
# gradgen: next v=0 events=1

import jax
import jax.numpy as jnp


def through(x, y):
    return x + jax.lax.stop_gradient(y - x)


@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _spike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2


def quantised(v, events, x, w, scale):
    levels = jnp.clip(w / scale, -3, 3)
    w_q = scale * through(levels, jnp.round(levels))
    v = 0.875 * v + x @ jnp.nan_to_num(w_q)
    z = spike(v - 1.0)
    events = events + z.astype(jnp.int32)
    return jnp.minimum(v - z, 4.0), events
