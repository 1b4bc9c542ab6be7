"""After Fang et al. 2023: all steps at once, by a learned lower triangular matrix along time."""

# gradgen: shape s=(t, batch, n) mix=(t, t) theta=(t, 1, 1) w=(n, k)
# gradgen: next s=0

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    return (x >= 0).astype(x.dtype)


@spike.defjvp
def _spike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx * jnp.pi / 2 / (1 + (jnp.pi * x) ** 2)


def parallel(s, mix, theta, w):
    causal = jnp.tril(mix)
    h = jnp.tensordot(causal, s, axes=1)
    z = spike(h + theta)
    rate = z.mean(0) @ w
    return z, jax.nn.softmax(rate), jnp.cumsum(z, axis=0)[-1]
