"""Exponential integrate-and-fire neuron (EIF).

Equations (forward Euler with dt = 0.02 ms):

    v1 = v + dt/C (-gL (v - EL) + gL D exp((v - VT) / D) + I)
    z  = spike(v1 - peak)                    1 if v1 > peak, else 0
    v' = v1 + z (Vr - v1)

The exponential stands for the activation of the sodium channels: above VT the membrane runs away
by itself and a spike is certain. Where the upswing is cut off, at ``peak``, matters little. The
defaults fit the neuron of Wang and Buzsaki (models/wang_buzsaki.py); the refractory period of
1.7 ms that belongs to that fit is left out.

The spike has the surrogate derivative 1 / (1 + |x|)^2 with x in mV.

Units: v, EL, D, VT, Vr and peak in mV; I in uA/cm^2; C in uF/cm^2; gL in mS/cm^2.

References:
    Fourcaud-Trocme, N., Hansel, D., van Vreeswijk, C., Brunel, N. (2003). How spike generation
    mechanisms determine the neuronal response to fluctuating inputs. The Journal of Neuroscience
    23(37), 11628-11640. doi:10.1523/JNEUROSCI.23-37-11628.2003
"""

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    """Heaviside step of x (mV above the peak), differentiated as 1 / (1 + |x|)^2."""
    return jnp.asarray(x > 0.0, jnp.result_type(x))


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,) = primals
    (x_dot,) = tangents
    slope = 1.0 / (1.0 + jnp.abs(x)) ** 2
    return spike(x), slope * x_dot


def eif_step(v, I, C=1.0, gL=0.1, EL=-65.0, D=3.48, VT=-59.9, Vr=-68.0, peak=-30.0):
    """Advance the neuron by 0.02 ms.

    Args:
        v: membrane potential (mV).
        I: input current density (uA/cm^2).
        C: membrane capacitance (uF/cm^2).
        gL: leak conductance (mS/cm^2).
        EL: leak reversal potential (mV).
        D: slope factor of the spike upswing (mV).
        VT: threshold potential (mV).
        Vr: potential after a spike (mV).
        peak: potential at which the upswing is cut off (mV).

    Returns:
        (v', z): the new potential and the spike, 0 or 1.
    """
    # gradgen: range v=-90:-30 I=-1:3
    # gradgen: range C=0.5:2 gL=0.05:0.2 EL=-75:-62 D=2:5 VT=-62:-50 Vr=-75:-62 peak=-35:-20
    upswing = gL * D * jnp.exp((v - VT) / D)
    v1 = v + 0.02 / C * (-gL * (v - EL) + upswing + I)
    z = spike(v1 - peak)
    v_next = v1 + z * (Vr - v1)
    return v_next, z
