"""Generalised leaky integrate-and-fire neuron that adapts on three time scales.

Equations (forward Euler for v with dt = 0.1 ms; decay factors exp(-dt / tau_k) for the three time
scales k = 1, 2, 3):

    J_k1 = J_k exp(-dt / tau_k)              currents after spikes
    H_k1 = H_k exp(-dt / tau_k)              and changes of the threshold
    v1   = v + dt/C (I - gL (v - EL) - J_11 - J_21 - J_31)
    z    = spike((v1 - (VT + H_11 + H_21 + H_31)) / width)
    v'   = v1 + z (Vr - v1)
    J_k' = J_k1 + z dJ_k
    H_k' = H_k1 + z dH_k

The sums of exponentials approximate the power laws by which cortical neurons adapt: the answer to a
step of current decays fast at first and goes on decaying for seconds.

The original fires at random, with the intensity exp(x) per unit of time, where x is the distance to
the threshold in units of ``width``. Here a spike is certain above the threshold, and ``width``
scales its surrogate derivative 1 / (1 + |x|)^2. There is no refractory period.

Units: v, EL, VT, Vr, width, H and dH in mV; I, J and dJ in pA; C in pF; gL in nS; tau in ms.

References:
    Pozzorini, C., Naud, R., Mensi, S., Gerstner, W. (2013). Temporal whitening by power-law
    adaptation in neocortical neurons. Nature Neuroscience 16(7), 942-948. doi:10.1038/nn.3431
    Pozzorini, C., Mensi, S., Hagens, O., Naud, R., Koch, C., Gerstner, W. (2015). Automated
    high-throughput characterization of single neurons by means of simplified spiking models. PLoS
    Computational Biology 11(6), e1004275. doi:10.1371/journal.pcbi.1004275
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class GlifMultiState(NamedTuple):
    """State: potential v, three currents J, three changes H of the threshold."""

    v: jax.Array
    J: tuple[jax.Array, jax.Array, jax.Array]
    H: tuple[jax.Array, jax.Array, jax.Array]


@jax.custom_jvp
def spike(x):
    """Heaviside step of x, differentiated as 1 / (1 + |x|)^2."""
    return jnp.asarray(x > 0.0, jnp.result_type(x))


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,) = primals
    (x_dot,) = tangents
    slope = 1.0 / (1.0 + jnp.abs(x)) ** 2
    return spike(x), slope * x_dot


def glif_multi_step(
    state: GlifMultiState,
    I,
    C=100.0,
    gL=5.0,
    EL=-70.0,
    VT=-50.0,
    Vr=-60.0,
    width=1.0,
    tau: tuple[float, float, float] = (10.0, 100.0, 1000.0),
    dJ: tuple[float, float, float] = (20.0, 6.0, 2.0),
    dH: tuple[float, float, float] = (5.0, 1.5, 0.5),
):
    """Advance the neuron by 0.1 ms.

    Args:
        state: potential v (mV), currents J (pA) and changes H of the threshold (mV).
        I: injected current (pA).
        C: membrane capacitance (pF).
        gL: leak conductance (nS).
        EL: resting potential (mV).
        VT: threshold after long rest (mV).
        Vr: potential after a spike (mV).
        width: scale of the surrogate derivative (mV).
        tau: the three time constants (ms).
        dJ: jumps of the three currents at a spike (pA).
        dH: jumps of the three parts of the threshold at a spike (mV).

    Returns:
        (state', z): the new state and the spike, 0 or 1.
    """
    # gradgen: range state.v=-90:-20 state.J.0=0:80 state.J.1=0:80 state.J.2=0:80
    # gradgen: range state.H.0=0:10 state.H.1=0:10 state.H.2=0:20 I=-100:600
    # gradgen: range C=50:200 gL=2:15 EL=-80:-60 VT=-55:-40 Vr=-75:-55 width=0.5:5
    # gradgen: range tau.0=5:20 tau.1=50:200 tau.2=500:2000
    # gradgen: range dJ.0=0:50 dJ.1=0:20 dJ.2=0:10 dH.0=0:10 dH.1=0:5 dH.2=0:2
    decay = [jnp.exp(-0.1 / t) for t in tau]
    J1 = [d * J for d, J in zip(decay, state.J, strict=True)]
    H1 = [d * H for d, H in zip(decay, state.H, strict=True)]
    v1 = state.v + 0.1 / C * (I - gL * (state.v - EL) - J1[0] - J1[1] - J1[2])
    z = spike((v1 - (VT + H1[0] + H1[1] + H1[2])) / width)
    v = v1 + z * (Vr - v1)
    J = tuple(J + z * jump for J, jump in zip(J1, dJ, strict=True))
    H = tuple(H + z * jump for H, jump in zip(H1, dH, strict=True))
    return GlifMultiState(v, J, H), z
