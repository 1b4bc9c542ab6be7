"""Wang-Buzsaki model of a fast-spiking hippocampal interneuron.

Equations (forward Euler with dt = 0.01 ms, membrane capacitance 1 uF/cm^2):

    v' = v + dt (I - gNa m^3 h (v - ENa) - gK n^4 (v - EK) - gL (v - EL))
    x' = x + dt phi (ax (1 - x) - bx x)                            for x = h, n
    m  = am / (am + bm)                      the sodium channels open instantaneously

    am = 0.1 (v + 35) / (1 - exp(-(v + 35) / 10))      bm = 4 exp(-(v + 60) / 18)
    ah = 0.07 exp(-(v + 58) / 20)                      bh = 1 / (1 + exp(-(v + 28) / 10))
    an = 0.01 (v + 34) / (1 - exp(-(v + 34) / 10))     bn = 0.125 exp(-(v + 44) / 80)

with ENa = 55 mV, EK = -90 mV and EL = -65 mV. The factor phi speeds the channels up, which gives
brief spikes and high firing rates.

The rates am and an are written as they stand in textbooks: at exactly v = -35 mV and v = -34 mV
they are 0/0 and JAX gives NaN (the limits are 1 and 0.1), and very near to them they lose digits.

Units: v in mV; h, n and m are fractions between 0 and 1; I in uA/cm^2; conductances in mS/cm^2;
rates in 1/ms; phi is a factor.

References:
    Wang, X.-J., Buzsaki, G. (1996). Gamma oscillation by synaptic inhibition in a hippocampal
    interneuronal network model. The Journal of Neuroscience 16(20), 6402-6413.
    doi:10.1523/JNEUROSCI.16-20-06402.1996
"""

import jax.numpy as jnp


def wang_buzsaki_step(v, h, n, I, gNa=35.0, gK=9.0, gL=0.1, phi=5.0):
    """Advance the membrane by 0.01 ms.

    Args:
        v: membrane potential (mV).
        h: fraction of the sodium channels that is not inactivated.
        n: activation of the potassium channels (fraction).
        I: injected current density (uA/cm^2).
        gNa: maximal sodium conductance (mS/cm^2).
        gK: maximal potassium conductance (mS/cm^2).
        gL: leak conductance (mS/cm^2).
        phi: speed of the channels (factor).

    Returns:
        (v', h', n'): the new potential and gating variables.
    """
    # gradgen: range v=-90:50 h=0:1 n=0:1 I=-2:10
    # gradgen: range gNa=20:50 gK=5:15 gL=0.05:0.2 phi=2:8
    am = 0.1 * (v + 35.0) / (1.0 - jnp.exp(-(v + 35.0) / 10.0))
    bm = 4.0 * jnp.exp(-(v + 60.0) / 18.0)
    ah = 0.07 * jnp.exp(-(v + 58.0) / 20.0)
    bh = 1.0 / (1.0 + jnp.exp(-(v + 28.0) / 10.0))
    an = 0.01 * (v + 34.0) / (1.0 - jnp.exp(-(v + 34.0) / 10.0))
    bn = 0.125 * jnp.exp(-(v + 44.0) / 80.0)

    m = am / (am + bm)
    I_Na = gNa * m**3 * h * (v - 55.0)
    I_K = gK * n**4 * (v + 90.0)
    I_L = gL * (v + 65.0)

    v_next = v + 0.01 * (I - I_Na - I_K - I_L)
    h_next = h + 0.01 * phi * (ah * (1.0 - h) - bh * h)
    n_next = n + 0.01 * phi * (an * (1.0 - n) - bn * n)
    return v_next, h_next, n_next
