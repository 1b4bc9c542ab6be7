"""Style of jaxsnn: NamedTuples for state, weights and constants, inverse time constants, dt."""

# gradgen: shape state.z=(batch, n) state.v=(batch, n) state.i=(batch, n) x=(batch, n_in)
# gradgen: shape weights.input=(n_in, n) weights.recurrent=(n, n)
# gradgen: range params.tau_syn_inv=100:300 params.tau_mem_inv=50:200 params.v_th=0.5:1.5
# gradgen: wrt state, x, weights

from typing import NamedTuple

import jax
import jax.numpy as jnp


class LIFParameters(NamedTuple):
    tau_syn_inv: float = 200.0
    tau_mem_inv: float = 100.0
    v_leak: float = 0.0
    v_reset: float = 0.0
    v_th: float = 1.0


class LIFState(NamedTuple):
    z: jax.Array
    v: jax.Array
    i: jax.Array


class Weights(NamedTuple):
    input: jax.Array
    recurrent: jax.Array


@jax.custom_vjp
def superspike(x, alpha):
    return jnp.where(x > 0, 1.0, 0.0)


def _forward(x, alpha):
    return superspike(x, alpha), (x, alpha)


def _backward(kept, g):
    x, alpha = kept
    return g / (alpha * jnp.abs(x) + 1.0) ** 2, None


superspike.defvjp(_forward, _backward)


def lif_recurrent(state: LIFState, x, weights: Weights, params: LIFParameters, dt=0.001):
    tau_syn_inv, tau_mem_inv, v_leak, v_reset, v_th = params
    i = state.i + jnp.matmul(state.z, weights.recurrent) + jnp.matmul(x, weights.input)
    v = state.v + dt * tau_mem_inv * ((v_leak - state.v) + i)
    i = i - dt * tau_syn_inv * i
    z = superspike(v - v_th, 80.0)
    v = (1 - z) * v + z * v_reset
    return LIFState(z, v, i), z
