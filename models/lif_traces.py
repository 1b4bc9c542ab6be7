"""Leaky integrate-and-fire neuron with synaptic traces.

Equations (one step of a fixed length dt, written as exponential decay factors):

    d' = a_d d + s                           trace of the synapse that decays slowly
    r' = a_r r + s                           and fast: the rise
    v1 = a v + w (d' - r')
    z  = spike(v1 - threshold)               1 if v1 > threshold, else 0
    v' = v1 - threshold z
    y' = a_y y + z                           trace of the neuron's own spikes

A presynaptic spike s gives the current d - r, a difference of two exponentials, which starts at
zero and has its maximum some time later. The trace y is what plasticity rules and homeostasis
read; nothing in this step depends on it.

The spike has the surrogate derivative 1 / (1 + 10 |x|)^2. The gradient passes through the
subtraction after a spike as well.

Units: all quantities are dimensionless; a, a_d, a_r and a_y are decay factors per step. The
defaults are tau_mem = 20 ms, 10 ms, 5 ms and 20 ms at dt = 1 ms.

References:
    Zenke, F., Ganguli, S. (2018). SuperSpike: supervised learning in multilayer spiking neural
    networks. Neural Computation 30(6), 1514-1541. doi:10.1162/neco_a_01086
    Gerstner, W., Kistler, W. M. (2002). Spiking Neuron Models: Single Neurons, Populations,
    Plasticity. Cambridge University Press. doi:10.1017/CBO9780511815706
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class LIFTracesState(NamedTuple):
    """State: potential v, synaptic traces d (decay) and r (rise), spike trace y."""

    v: jax.Array
    d: jax.Array
    r: jax.Array
    y: jax.Array


@jax.custom_jvp
def spike(x):
    """Heaviside step of x, differentiated as 1 / (1 + 10 |x|)^2."""
    return jnp.asarray(x > 0.0, jnp.result_type(x))


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,) = primals
    (x_dot,) = tangents
    slope = 1.0 / (1.0 + 10.0 * jnp.abs(x)) ** 2
    return spike(x), slope * x_dot


def lif_traces_step(
    state: LIFTracesState, s, w=0.3, threshold=1.0, a=0.951, a_d=0.905, a_r=0.819, a_y=0.951
):
    """Advance the neuron by one step.

    Args:
        state: potential v, synaptic traces d and r, spike trace y (all dimensionless).
        s: presynaptic spike of this step, 0 or 1 (dimensionless).
        w: synaptic weight (dimensionless).
        threshold: firing threshold (dimensionless).
        a: membrane decay factor per step.
        a_d: decay factor per step of the synaptic current.
        a_r: decay factor per step of its rise, smaller than a_d.
        a_y: decay factor per step of the spike trace.

    Returns:
        (state', z): the new state and the spike, 0 or 1.
    """
    # gradgen: range state.v=-1:2 state.d=0:5 state.r=0:3 state.y=0:5 s=0:1
    # gradgen: range w=-2:2 threshold=0.5:1.5 a=0.8:0.999 a_d=0.8:0.99 a_r=0.5:0.9 a_y=0.8:0.999
    d = a_d * state.d + s
    r = a_r * state.r + s
    v1 = a * state.v + w * (d - r)
    z = spike(v1 - threshold)
    v = v1 - threshold * z
    y = a_y * state.y + z
    return LIFTracesState(v, d, r, y), z
