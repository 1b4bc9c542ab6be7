"""Two layers with dropout of spikes and noise of the threshold, keys from one that is split."""

# gradgen: example params=[{w, b}, {w, b}]
# gradgen: shape params.0.w=(m, n) params.0.b=(n,) params.1.w=(n, k) params.1.b=(k,)
# gradgen: shape state.0=(batch, n) state.1=(batch, k) x=(batch, m) key=():key
# gradgen: wrt params, state, x

import jax
import jax.numpy as jnp


@jax.custom_gradient
def spike(x):
    return (x > 0).astype(x.dtype), lambda g: g / (1 + 2 * jnp.abs(x)) ** 2


def dropout(key, x, rate):
    keep = jax.random.bernoulli(key, 1.0 - rate, x.shape)
    return jnp.where(keep, x / (1.0 - rate), 0)


def two_layers(params, state, x, key):
    key1, key2 = jax.random.split(key)
    (first, second), (u, o) = params, state
    u = 0.9 * u + x @ first["w"] + first["b"]
    theta = 1.0 + 0.1 * jax.random.uniform(key2, u.shape, u.dtype)
    z = spike(u - theta)
    u = u - theta * z
    o = 0.9 * o + dropout(key1, z, 0.2) @ second["w"] + second["b"]
    return o, (u, o)
