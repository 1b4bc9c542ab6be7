"""Style of norse: a LIF cell inside another one, which counts refractory steps in integers."""

# gradgen: shape state.v=(batch, n) state.i=(batch, n) state.rho=(batch, n):int32
# gradgen: shape x=(batch, n_in) w=(n_in, n) b=(n,)

from typing import NamedTuple

import jax
import jax.numpy as jnp


class State(NamedTuple):
    v: jax.Array
    i: jax.Array
    rho: jax.Array


@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _superspike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2


def _cell(v, i, x):
    i = 0.8 * i + x
    v = v + 0.1 * (i - v)
    z = spike(v - 1.0)
    return z, v - z, i


def refractory(x, state: State, w, b, rho_reset=3):
    z, v, i = _cell(state.v, state.i, 5.0 * (x @ w + b))
    free = state.rho == 0
    v = jnp.where(free, v, state.v)
    z = jnp.where(free, z, jnp.zeros_like(z))
    rho = jnp.where(z > 0, rho_reset, jnp.maximum(state.rho - 1, 0))
    return z, State(v, i, rho.astype(jnp.int32))
