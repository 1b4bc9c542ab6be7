"""Currents that are normalised over neurons before they are integrated, with gain and bias."""

# gradgen: example params={w, norm: {scale, bias}}
# gradgen: shape params.w=(m, n) params.norm.scale=(n,) params.norm.bias=(n,)
# gradgen: shape x=(batch, m) v=(batch, n)
# gradgen: wrt params, x, v
# gradgen: next v=0

import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _spike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), jnp.where(jnp.abs(x) < 0.5, dx, jnp.zeros_like(dx))


def layer_norm(x, scale, bias, eps=1e-5):
    mean = jnp.mean(x, axis=-1, keepdims=True)
    variance = jnp.var(x, axis=-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + eps) * scale + bias


def normalised_lif(params, v, x, beta=0.9):
    current = layer_norm(x @ params["w"], **params["norm"])
    v_next = beta * v + current
    z = spike(v_next - 1.0)
    return v_next - z, z
