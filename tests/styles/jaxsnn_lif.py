"""Style of jaxsnn: dict input, dataclass state, custom_vjp superspike, callable argument."""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp


@jax.tree_util.register_dataclass
@dataclass
class LIFState:
    v: jax.Array
    i: jax.Array


@jax.custom_vjp
def superspike(x, alpha):
    """Heaviside step; alpha is the slope of the surrogate and gets no gradient."""
    return jnp.where(x > 0.0, 1.0, 0.0).astype(x.dtype)


def superspike_fwd(x, alpha):
    return superspike(x, alpha), (x, alpha)


def superspike_bwd(residuals, g):
    x, alpha = residuals
    return g / (alpha * jnp.abs(x) + 1.0) ** 2, None


superspike.defvjp(superspike_fwd, superspike_bwd)


def lif_step(
    state: LIFState,
    inputs,
    tau_syn_inv=200.0,
    tau_mem_inv=100.0,
    v_leak=0.0,
    v_th=1.0,
    v_reset=0.0,
    method: Callable = superspike,
    dt=0.001,
):
    """Current-based LIF neuron; the input is {"current": ..., "spikes": ...}."""
    dv = dt * tau_mem_inv * ((v_leak - state.v) + state.i)
    v_decayed = state.v + dv
    i_decayed = state.i - dt * tau_syn_inv * state.i

    z_new = method(v_decayed - v_th, 80.0)
    v_new = (1.0 - z_new) * v_decayed + z_new * v_reset
    i_new = i_decayed + inputs["current"] + 0.5 * inputs["spikes"]
    return LIFState(v=v_new, i=i_new), z_new
