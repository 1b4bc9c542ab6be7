"""AdEx with a conductance-based synapse, and fourteen parameters by keyword.

Equations: Brette, R., Gerstner, W. (2005). Adaptive exponential integrate-and-fire model as an
effective description of neuronal activity. Journal of Neurophysiology 94(5), 3637-3642; the gates
of the synapses decay as in Destexhe, A., Mainen, Z. F., Sejnowski, T. J. (1994), An efficient
method for computing synaptic conductances. Neural Computation 6(1), 14-18.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class State(NamedTuple):
    """Potential, adaptation current and synaptic conductance."""

    v: float
    w: float
    g: float


# gradgen: range state.v=-80:-40 state.w=-50:200 state.g=0:20 drive=0:5
# gradgen: range c_m=100:300 g_l=5:20 e_l=-75:-60 v_t=-55:-45 delta_t=1:4 tau_w=30:200 a=0:8
# gradgen: range b=0:100 v_r=-65:-50 tau_g=2:10 e_g=-10:10 width=0.5:3 peak=-40:-20 dt=0.05:0.5
def adex_by_keyword(
    state: State,
    drive,
    *,
    c_m,
    g_l,
    e_l,
    v_t,
    delta_t,
    tau_w,
    a,
    b,
    v_r,
    tau_g,
    e_g,
    width,
    peak,
    dt,
):
    """Advance the neuron by `dt` milliseconds; returns the state and a graded spike."""
    g = state.g * jnp.exp(-dt / tau_g) + drive
    upswing = g_l * delta_t * jnp.exp(jnp.minimum((state.v - v_t) / delta_t, 5.0))
    current = g * (e_g - state.v) - g_l * (state.v - e_l) + upswing - state.w
    v = state.v + dt / c_m * current
    w = state.w + dt / tau_w * (a * (state.v - e_l) - state.w)
    s = jax.nn.sigmoid((v - peak) / width)
    return State(v=v + s * (v_r - v), w=w + s * b, g=g), s
