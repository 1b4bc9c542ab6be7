"""Conductance-based leaky integrate-and-fire neuron with a refractory period.

Equations (exponential Euler with dt = 0.1 ms):

    ge' = ge exp(-dt / tau_e) + we se        excitatory conductance
    gi' = gi exp(-dt / tau_i) + wi si        inhibitory conductance
    g   = gL + ge' + gi'
    v_inf  = (gL EL + ge' Ee + gi' Ei + I) / g
    v_free = v_inf + (v - v_inf) exp(-dt g / C)
    v1  = v_free if wait = 0, else Vr        held while refractory
    z   = spike(v1 - VT)                     1 if v1 > VT, else 0
    v'  = v1 + z (Vr - v1)
    wait' = 50 after a spike, else max(wait - 1, 0)

This is the cell of Vogels and Abbott, in the form of the benchmark COBA of Brette et al. (2007).
The synapses change the conductance and with it the time constant of the membrane. ``wait`` counts
the steps that are left of the refractory period of 5 ms; it is an integer, hence constant under
differentiation.

The spike has the surrogate derivative 1 / (1 + |x|)^2 with x in mV.

Units: v, EL, Ee, Ei, VT and Vr in mV; ge, gi, gL, we and wi in nS; I in pA; C in pF; time constants
in ms; se and si are numbers of spikes.

References:
    Vogels, T. P., Abbott, L. F. (2005). Signal propagation and logic gating in networks of
    integrate-and-fire neurons. The Journal of Neuroscience 25(46), 10786-10795.
    doi:10.1523/JNEUROSCI.3508-05.2005
    Brette, R., Rudolph, M., Carnevale, T., et al. (2007). Simulation of networks of spiking
    neurons: a review of tools and strategies. Journal of Computational Neuroscience 23(3), 349-398.
    doi:10.1007/s10827-007-0038-6
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class CobaLIFState(NamedTuple):
    """State: potential v, conductances ge and gi, refractory steps left."""

    v: jax.Array
    ge: jax.Array
    gi: jax.Array
    wait: int


@jax.custom_jvp
def spike(x):
    """Heaviside step of x (mV above threshold), differentiated as 1 / (1 + |x|)^2."""
    return jnp.asarray(x > 0.0, jnp.result_type(x))


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,) = primals
    (x_dot,) = tangents
    slope = 1.0 / (1.0 + jnp.abs(x)) ** 2
    return spike(x), slope * x_dot


def coba_lif_step(
    state: CobaLIFState,
    se,
    si,
    I,
    C=200.0,
    gL=10.0,
    EL=-60.0,
    Ee=0.0,
    Ei=-80.0,
    VT=-50.0,
    Vr=-60.0,
    we=6.0,
    wi=67.0,
    tau_e=5.0,
    tau_i=10.0,
):
    """Advance the neuron by 0.1 ms.

    Args:
        state: potential v (mV), conductances ge and gi (nS), refractory steps left (integer).
        se: excitatory presynaptic spikes of this step (number).
        si: inhibitory presynaptic spikes of this step (number).
        I: injected current (pA).
        C: membrane capacitance (pF).
        gL: leak conductance (nS).
        EL: leak reversal potential (mV).
        Ee: excitatory reversal potential (mV).
        Ei: inhibitory reversal potential (mV).
        VT: threshold (mV).
        Vr: potential after a spike (mV).
        we: conductance of one excitatory spike (nS).
        wi: conductance of one inhibitory spike (nS).
        tau_e: time constant of the excitatory conductance (ms).
        tau_i: time constant of the inhibitory conductance (ms).

    Returns:
        (state', z): the new state and the spike, 0 or 1.
    """
    # gradgen: range state.v=-80:-45 state.ge=0:50 state.gi=0:200 state.wait=0:3
    # gradgen: range se=0:3 si=0:3 I=-200:500 C=100:300 gL=5:20 EL=-75:-55 Ee=-10:10 Ei=-90:-70
    # gradgen: range VT=-55:-45 Vr=-75:-58 we=1:10 wi=10:100 tau_e=2:10 tau_i=5:20
    ge = state.ge * jnp.exp(-0.1 / tau_e) + we * se
    gi = state.gi * jnp.exp(-0.1 / tau_i) + wi * si
    g = gL + ge + gi
    v_inf = (gL * EL + ge * Ee + gi * Ei + I) / g
    v_free = v_inf + (state.v - v_inf) * jnp.exp(-0.1 * g / C)

    v1 = jnp.where(state.wait == 0, v_free, Vr)
    z = spike(v1 - VT)
    v = v1 + z * (Vr - v1)
    wait = jnp.where(z > 0.0, 50, jnp.maximum(state.wait - 1, 0))
    return CobaLIFState(v, ge, gi, wait), z
