"""One step of an analog neuron with four synapses, in currents below threshold: 25 parameters.

The circuits are those of Dynap-SE: a differential pair integrator for the membrane, with positive
feedback, spike-frequency adaptation and AMPA, NMDA, GABA-A and GABA-B synapses. Equations:
Chicca, E., Stefanini, F., Bartolozzi, C., Indiveri, G. (2014). Neuromorphic electronic circuits
for building autonomous cognitive systems. Proceedings of the IEEE 102(9), 1367-1388. Currents are
in units of the leak; time constants are C U_T / (kappa I_tau).
"""

from typing import NamedTuple

import jax.numpy as jnp
from jax.nn import sigmoid


class Currents(NamedTuple):
    """The currents that are state."""

    mem: float
    ahp: float
    ampa: float
    nmda: float
    gaba: float
    shunt: float


# gradgen: range state=0.1:5 spikes=0:3 tau_mem=0.2:0.6 tau_ahp=0.1:0.5 tau_ampa=0.2:0.8
# gradgen: range tau_nmda=0.1:0.4 tau_gaba=0.2:0.6 tau_shunt=0.1:0.5 gain_mem=1:2 gain_ahp=0.5:2
# gradgen: range gain_ampa=0.5:2 gain_nmda=0.5:2 gain_gaba=0.5:2 gain_shunt=0.5:2 w_ahp=0.1:0.5
# gradgen: range w_ampa=0.4:1.4 w_nmda=0.2:0.8 w_gaba=0.2:0.8 w_shunt=0.1:0.4
def analog_neuron(
    state: Currents,
    spikes,
    tau_mem,
    tau_ahp,
    tau_ampa,
    tau_nmda,
    tau_gaba,
    tau_shunt,
    gain_mem,
    gain_ahp,
    gain_ampa,
    gain_nmda,
    gain_gaba,
    gain_shunt,
    w_ahp,
    w_ampa,
    w_nmda,
    w_gaba,
    w_shunt,
    c_mem=2.0,
    c_ahp=4.0,
    c_syn=1.5,
    ut=0.025,
    kappa=0.7,
    i_dc=0.6,
    i_th=3.0,
    i_norm=0.7,
):
    """Advance the neuron by a millisecond; returns its currents and a graded spike."""

    def decayed(current, leak, capacity):
        """What is left of a current after a step of one millisecond."""
        return current - 1e-3 * current * kappa * leak / (capacity * ut)

    ampa = decayed(state.ampa, tau_ampa, c_syn) + spikes * w_ampa * gain_ampa / tau_ampa
    nmda = decayed(state.nmda, tau_nmda, c_syn) + spikes * w_nmda * gain_nmda / tau_nmda
    gaba = decayed(state.gaba, tau_gaba, c_syn) + spikes * w_gaba * gain_gaba / tau_gaba
    shunt = decayed(state.shunt, tau_shunt, c_syn) + spikes * w_shunt * gain_shunt / tau_shunt
    ahp = decayed(state.ahp, tau_ahp, c_ahp)
    feedback = state.mem * sigmoid((state.mem - i_th) / i_norm)
    opened = sigmoid((state.mem - nmda) / i_norm)
    i_in = jnp.maximum(ampa + opened * nmda + i_dc - gaba, 0.01)
    leak = tau_mem + ahp + shunt
    steady = gain_mem / tau_mem * (i_in - leak)
    rate = kappa * tau_mem / (c_mem * ut) * state.mem / (state.mem + gain_mem)
    mem = state.mem + 1e-3 * rate * (steady + feedback - state.mem * leak / tau_mem)
    mem = jnp.maximum(mem, 0.01)
    z = sigmoid((mem - i_th) / i_norm)
    new = Currents(
        mem=mem * (1.0 - z),
        ahp=ahp + z * w_ahp * gain_ahp / tau_ahp,
        ampa=ampa,
        nmda=nmda,
        gaba=gaba,
        shunt=shunt,
    )
    return new, z
