"""Network of excitatory and inhibitory integrate-and-fire neurons with conductance synapses.

Four neurons of five are excitatory, one is inhibitory (5 m in all). Equations (exponential Euler
for the conductances, forward Euler for the membrane, dt = 0.1 ms):

    ge' = ge exp(-dt / tau_e) + zE WE + x        excitatory conductance
    gi' = gi exp(-dt / tau_i) + zI WI            inhibitory conductance
    u   = v + dt / tau ((EL - v) + ge' (Ee - v) + gi' (Ei - v))
    z'  = spike((u - VT) / (VT - EL))            1 if u > VT, else 0
    v'  = u + z' (Vr - u)

The sender of a synapse decides its sign: WE and WI hold conductances, which are not negative, and
zE and zI are the spikes of the first 4 m and the last m neurons. Cells and connections are those of
Vogels and Abbott without refractoriness; the spike has the surrogate derivative 1 / (1 + 10 |x|)^2,
and the reset is differentiated with it.

Units: v, EL, Ee, Ei, VT and Vr in mV; ge, gi, WE, WI and x in units of the leak conductance; time
constants in ms.

References:
    Vogels, T. P., Abbott, L. F. (2005). Signal propagation and logic gating in networks of
    integrate-and-fire neurons. The Journal of Neuroscience 25(46), 10786-10795.
    doi:10.1523/JNEUROSCI.3508-05.2005
    Brette, R., Rudolph, M., Carnevale, T., et al. (2007). Simulation of networks of spiking
    neurons: a review of tools and strategies. Journal of Computational Neuroscience 23(3), 349-398.
    doi:10.1007/s10827-007-0038-6
"""

# gradgen: shape state.v=(batch, 5*m) state.ge=(batch, 5*m) state.gi=(batch, 5*m)
# gradgen: shape state.z=(batch, 5*m) x=(batch, 5*m) we=(4*m, 5*m) wi=(m, 5*m)
# gradgen: size batch=32 m=64
# gradgen: wrt state, x, we, wi

from typing import NamedTuple

import jax
import jax.numpy as jnp


class EIState(NamedTuple):
    """State: potentials v, conductances ge and gi, spikes z of the last step."""

    v: jax.Array
    ge: jax.Array
    gi: jax.Array
    z: jax.Array


@jax.custom_jvp
def spike(x):
    """Heaviside step of x, differentiated as 1 / (1 + 10 |x|)^2."""
    return (x > 0.0).astype(x.dtype)


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,) = primals
    (x_dot,) = tangents
    return spike(x), x_dot / (1.0 + 10.0 * jnp.abs(x)) ** 2


def ei_conductance(
    state: EIState,
    x,
    we,
    wi,
    tau=20.0,
    tau_e=5.0,
    tau_i=10.0,
    EL=-60.0,
    Ee=0.0,
    Ei=-80.0,
    VT=-50.0,
    Vr=-60.0,
):
    """Advance the network by 0.1 ms.

    Args:
        state: potentials v (mV), conductances ge and gi, spikes z of the last step.
        x: excitatory conductance that comes from outside in this step.
        we: conductances of a spike of each excitatory neuron, a row for each.
        wi: conductances of a spike of each inhibitory neuron, a row for each.
        tau: membrane time constant (ms).
        tau_e: decay of the excitatory conductance (ms).
        tau_i: decay of the inhibitory conductance (ms).
        EL: resting potential (mV).
        Ee: excitatory reversal potential (mV).
        Ei: inhibitory reversal potential (mV).
        VT: firing threshold (mV).
        Vr: reset potential (mV).

    Returns:
        The new state, whose z are the spikes.
    """
    # gradgen: range state.v=-85:-45 state.ge=0:3 state.gi=0:6 state.z=0:1
    # gradgen: range x=0:1 we=0:0.6 wi=0:6.7 tau=10:40 tau_e=2:10 tau_i=5:20
    # gradgen: range EL=-70:-55 Ee=-10:10 Ei=-90:-75 VT=-52:-40 Vr=-70:-55
    excitatory = we.shape[0]
    ge = state.ge * jnp.exp(-0.1 / tau_e) + state.z[:, :excitatory] @ we + x
    gi = state.gi * jnp.exp(-0.1 / tau_i) + state.z[:, excitatory:] @ wi
    u = state.v + 0.1 / tau * ((EL - state.v) + ge * (Ee - state.v) + gi * (Ei - state.v))
    z = spike((u - VT) / (VT - EL))
    return EIState(u + z * (Vr - u), ge, gi, z)
