"""Current-based leaky integrate-and-fire neuron with a refractory period.

The convention of many recurrent layers: (x, state) -> (spike, state), the parameters in a dict.

Equations (exponential decay for the synapses, forward Euler for v, with dt = 0.1 ms):

    ge' = ge exp(-dt / tau_e) + we se        excitatory input
    gi' = gi exp(-dt / tau_i) + wi si        inhibitory input
    v_free = v + dt/tau (EL - v + ge' + gi')
    v1  = v if wait > 0, else v_free         held while refractory
    z   = spike(v1 - VT)                     1 if v1 > VT, else 0
    v'  = v1 + z (Vr - v1)
    wait' = 50 after a spike, else max(wait - 1, 0)

This is the benchmark CUBA of Brette et al. (2007), after Vogels and Abbott (2005): with EL above VT
the neuron fires without input. ``wait`` counts the steps that are left of the refractory period of
5 ms. It is a float here, so that the whole state is of one dtype; its derivative is that of the
countdown, and zero after a spike. The reset is not differentiated (``stop_gradient``), as is
customary when such neurons are trained.

The spike has the surrogate derivative 1 / (1 + |x|)^2 with x in mV.

Units: v, ge, gi, EL, VT, Vr, we and wi in mV; time constants in ms; wait in steps; se and si are
numbers of spikes.

References:
    Vogels, T. P., Abbott, L. F. (2005). Signal propagation and logic gating in networks of
    integrate-and-fire neurons. The Journal of Neuroscience 25(46), 10786-10795.
    doi:10.1523/JNEUROSCI.3508-05.2005
    Brette, R., Rudolph, M., Carnevale, T., et al. (2007). Simulation of networks of spiking
    neurons: a review of tools and strategies. Journal of Computational Neuroscience 23(3), 349-398.
    doi:10.1007/s10827-007-0038-6
    Zenke, F., Vogels, T. P. (2021). The remarkable robustness of surrogate gradient learning for
    instilling complex function in spiking neural networks. Neural Computation 33(4), 899-925.
    doi:10.1162/neco_a_01367
"""

import jax
import jax.numpy as jnp

PARAMS = {
    "tau": 20.0,
    "tau_e": 5.0,
    "tau_i": 10.0,
    "EL": -49.0,
    "VT": -50.0,
    "Vr": -60.0,
    "we": 1.62,
    "wi": -9.0,
}


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


def cuba_lif_refractory_step(x, state, params=PARAMS):
    """Advance the neuron by 0.1 ms.

    Args:
        x: the pair (se, si) of excitatory and inhibitory presynaptic spikes of this step (numbers).
        state: potential v (mV), inputs ge and gi (mV) and refractory steps left.
        params: membrane and synaptic time constants tau, tau_e and tau_i (ms), resting potential
            EL, threshold VT, reset potential Vr and weights we and wi of a spike (mV).

    Returns:
        (z, state'): the spike, 0 or 1, and the new state.
    """
    # gradgen: range x.0=0:3 x.1=0:3
    # gradgen: range state.0=-75:-45 state.1=0:30 state.2=-60:0 state.3=0:3
    # gradgen: range params.tau=10:40 params.tau_e=2:10 params.tau_i=5:20 params.EL=-65:-45
    # gradgen: range params.VT=-55:-45 params.Vr=-70:-58 params.we=0.5:4 params.wi=-20:-2
    se, si = x
    v, ge, gi, wait = state
    ge_next = ge * jnp.exp(-0.1 / params["tau_e"]) + params["we"] * se
    gi_next = gi * jnp.exp(-0.1 / params["tau_i"]) + params["wi"] * si
    v_free = v + 0.1 / params["tau"] * (params["EL"] - v + ge_next + gi_next)
    v1 = jnp.where(wait > 0.0, v, v_free)
    z = spike(v1 - params["VT"])
    v_next = v1 + jax.lax.stop_gradient(z) * (params["Vr"] - v1)
    wait_next = jnp.where(z > 0.0, 50.0, jnp.maximum(wait - 1.0, 0.0))
    return z, (v_next, ge_next, gi_next, wait_next)
