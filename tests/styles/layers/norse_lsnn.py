"""Style of norse: the LSNN cell, recurrent weights without autapses, a NamedTuple for the state."""

# gradgen: shape state.z=(batch, n) state.v=(batch, n) state.i=(batch, n) state.b=(batch, n)
# gradgen: shape inputs=(batch, n_in) weights.0=(n, n_in) weights.1=(n, n)
# gradgen: wrt state, inputs, weights

from typing import NamedTuple

import jax
import jax.numpy as jnp


class LSNNState(NamedTuple):
    z: jax.Array
    v: jax.Array
    i: jax.Array
    b: jax.Array


@jax.custom_jvp
def threshold(x):
    return jnp.heaviside(x, 0.0)


@threshold.defjvp
def _threshold(primals, tangents):
    (x,), (t,) = primals, tangents
    return threshold(x), 0.3 * jax.nn.relu(1 - jnp.abs(x)) * t


def lsnn_step(inputs, state: LSNNState, weights, dt=0.001, tau_adapt_inv=1 / 0.7, beta=1.8):
    w_in, w_rec = weights
    w_rec = jnp.where(jnp.eye(w_rec.shape[0], dtype=bool), 0.0, w_rec)
    i_jump = state.i + inputs @ w_in.T + state.z @ w_rec.T
    dv = dt * 100.0 * (-state.v + i_jump)
    v_decayed = state.v + dv
    i_decayed = i_jump - dt * 200.0 * i_jump
    b_decayed = state.b * (1.0 - dt * tau_adapt_inv)
    z_new = threshold(v_decayed - (1.0 + b_decayed))
    v_new = (1 - z_new) * v_decayed
    b_new = b_decayed + z_new * tau_adapt_inv * beta
    return z_new, LSNNState(z_new, v_new, i_decayed, b_new)
