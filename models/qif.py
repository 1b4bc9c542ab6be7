"""Quadratic integrate-and-fire neuron (QIF).

Equations (forward Euler with dt = 0.1 ms):

    v1 = v + dt/tau ((v - EL) (v - VT) / (VT - EL) + R I)
    z  = spike(v1 - peak)                    1 if v1 > peak, else 0
    v' = v1 + z (Vr - v1)

This is the simplest neuron that begins to fire through a saddle-node bifurcation, at arbitrarily
low rates: without a current EL is its resting potential and VT its threshold, and from
R I = (VT - EL) / 4 on there is no rest. The factor 1 / (VT - EL) makes it a leaky membrane with
the time constant tau near EL.

The spike has the surrogate derivative 1 / (1 + (pi x)^2) with x in mV, that of an arctangent.

Units: v, EL, VT, Vr and peak in mV; I in nA; R in MOhm; tau in ms.

References:
    Ermentrout, G. B., Kopell, N. (1986). Parabolic bursting in an excitable system coupled with a
    slow oscillation. SIAM Journal on Applied Mathematics 46(2), 233-253. doi:10.1137/0146017
    Latham, P. E., Richmond, B. J., Nelson, P. G., Nirenberg, S. (2000). Intrinsic dynamics in
    neuronal networks. I. Theory. Journal of Neurophysiology 83(2), 808-827.
    doi:10.1152/jn.2000.83.2.808
"""

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    """Heaviside step of x (mV above the peak), differentiated as 1 / (1 + (pi x)^2)."""
    return jnp.asarray(x > 0.0, jnp.result_type(x))


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,) = primals
    (x_dot,) = tangents
    slope = 1.0 / (1.0 + (jnp.pi * x) ** 2)
    return spike(x), slope * x_dot


def qif_step(v, I, tau=10.0, R=100.0, EL=-65.0, VT=-50.0, Vr=-75.0, peak=20.0):
    """Advance the neuron by 0.1 ms.

    Args:
        v: membrane potential (mV).
        I: input current (nA).
        tau: membrane time constant near rest (ms).
        R: membrane resistance near rest (MOhm).
        EL: resting potential without a current (mV).
        VT: threshold potential without a current (mV).
        Vr: potential after a spike (mV).
        peak: potential at which the upswing is cut off (mV).

    Returns:
        (v', z): the new potential and the spike, 0 or 1.
    """
    # gradgen: range v=-90:20 I=-0.2:0.5
    # gradgen: range tau=5:30 R=50:200 EL=-75:-60 VT=-55:-40 Vr=-85:-60 peak=0:40
    v1 = v + 0.1 / tau * ((v - EL) * (v - VT) / (VT - EL) + R * I)
    z = spike(v1 - peak)
    v_next = v1 + z * (Vr - v1)
    return v_next, z
