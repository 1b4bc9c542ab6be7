"""Hodgkin-Huxley model of the squid giant axon.

Equations (forward Euler with dt = 0.01 ms, membrane capacitance 1 uF/cm^2):

    v' = v + dt (I - gNa m^3 h (v - ENa) - gK n^4 (v - EK) - gL (v - EL))
    x' = x + dt (ax (1 - x) - bx x)                                for x = m, h, n

    am = 0.1 (v + 40) / (1 - exp(-(v + 40) / 10))      bm = 4 exp(-(v + 65) / 18)
    ah = 0.07 exp(-(v + 65) / 20)                      bh = 1 / (1 + exp(-(v + 35) / 10))
    an = 0.01 (v + 55) / (1 - exp(-(v + 55) / 10))     bn = 0.125 exp(-(v + 65) / 80)

with ENa = 50 mV, EK = -77 mV and EL = -54.4 mV; the membrane rests near -65 mV.

The rates am and an are written as they stand in textbooks: at exactly v = -40 mV and v = -55 mV
they are 0/0 and JAX gives NaN (the limits are 1 and 0.1), and very near to them they lose digits.

Units: v in mV; m, h and n are fractions between 0 and 1; I in uA/cm^2; conductances in mS/cm^2;
rates in 1/ms.

References:
    Hodgkin, A. L., Huxley, A. F. (1952). A quantitative description of membrane current and its
    application to conduction and excitation in nerve. The Journal of Physiology 117(4), 500-544.
    doi:10.1113/jphysiol.1952.sp004764
"""

import jax.numpy as jnp


def hodgkin_huxley_step(v, m, h, n, I, gNa=120.0, gK=36.0, gL=0.3):
    """Advance the membrane by 0.01 ms.

    Args:
        v: membrane potential (mV).
        m: activation of the sodium channels (fraction).
        h: fraction of the sodium channels that is not inactivated.
        n: activation of the potassium channels (fraction).
        I: injected current density (uA/cm^2).
        gNa: maximal sodium conductance (mS/cm^2).
        gK: maximal potassium conductance (mS/cm^2).
        gL: leak conductance (mS/cm^2).

    Returns:
        (v', m', h', n'): the new potential and gating variables.
    """
    # gradgen: range v=-90:50 m=0:1 h=0:1 n=0:1 I=-10:30
    # gradgen: range gNa=60:180 gK=18:54 gL=0.1:0.6
    am = 0.1 * (v + 40.0) / (1.0 - jnp.exp(-(v + 40.0) / 10.0))
    bm = 4.0 * jnp.exp(-(v + 65.0) / 18.0)
    ah = 0.07 * jnp.exp(-(v + 65.0) / 20.0)
    bh = 1.0 / (1.0 + jnp.exp(-(v + 35.0) / 10.0))
    an = 0.01 * (v + 55.0) / (1.0 - jnp.exp(-(v + 55.0) / 10.0))
    bn = 0.125 * jnp.exp(-(v + 65.0) / 80.0)

    I_Na = gNa * m**3 * h * (v - 50.0)
    I_K = gK * n**4 * (v + 77.0)
    I_L = gL * (v + 54.4)

    v_next = v + 0.01 * (I - I_Na - I_K - I_L)
    m_next = m + 0.01 * (am * (1.0 - m) - bm * m)
    h_next = h + 0.01 * (ah * (1.0 - h) - bh * h)
    n_next = n + 0.01 * (an * (1.0 - n) - bn * n)
    return v_next, m_next, h_next, n_next
