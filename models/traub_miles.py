"""Traub-Miles model of a hippocampal pyramidal cell.

Equations (forward Euler for v, exponential Euler for the gates, with dt = 0.02 ms; membrane
capacitance 1 uF/cm^2):

    v' = v + dt (I - gNa m^3 h (v - ENa) - gK n^4 (v - EK) - gL (v - EL))
    x' = x_inf + (x - x_inf) exp(-dt (ax + bx)),   x_inf = ax / (ax + bx),   for x = m, h, n

    am = 0.32 (u - 13) / (1 - exp(-(u - 13) / 4))      bm = 0.28 (u - 40) / (exp((u - 40) / 5) - 1)
    ah = 0.128 exp((17 - u) / 18)                      bh = 4 / (1 + exp((40 - u) / 5))
    an = 0.032 (u - 15) / (1 - exp(-(u - 15) / 5))     bn = 0.5 exp((10 - u) / 40)

with u = v - VT, ENa = 50 mV and EK = -90 mV. This is the cell of the benchmark COBAHH of Brette et
al. (2007), without its synapses: two of the currents of Traub and Miles, with VT added to shift the
threshold. With EL = -65 mV it rests without a current; with EL = -60 mV, which implementations of
the benchmark use as well, it fires by itself.

The rates am, bm and an are written as they stand in textbooks: at exactly u = 13, 40 and 15 mV they
are 0/0 and JAX gives NaN (the limits are 1.28, 1.4 and 0.16), and very near to them they lose
digits.

Units: v, u, EL and VT in mV; m, h and n are fractions between 0 and 1; I in uA/cm^2; conductances
in mS/cm^2; rates in 1/ms.

References:
    Traub, R. D., Miles, R. (1991). Neuronal Networks of the Hippocampus. Cambridge University
    Press. doi:10.1017/CBO9780511895401
    Brette, R., Rudolph, M., Carnevale, T., et al. (2007). Simulation of networks of spiking
    neurons: a review of tools and strategies. Journal of Computational Neuroscience 23(3), 349-398.
    doi:10.1007/s10827-007-0038-6
"""

import jax.numpy as jnp


def traub_miles_step(v, m, h, n, I, gNa=100.0, gK=30.0, gL=0.05, EL=-65.0, VT=-63.0):
    """Advance the membrane by 0.02 ms.

    Args:
        v: membrane potential (mV).
        m: activation of the sodium channels (fraction).
        h: fraction of the sodium channels that is not inactivated.
        n: activation of the potassium channels (fraction).
        I: injected current density (uA/cm^2).
        gNa: maximal sodium conductance (mS/cm^2).
        gK: maximal potassium conductance (mS/cm^2).
        gL: leak conductance (mS/cm^2).
        EL: leak reversal potential (mV).
        VT: shift of the channels' potentials (mV).

    Returns:
        (v', m', h', n'): the new potential and gating variables.
    """
    # gradgen: range v=-90:50 m=0:1 h=0:1 n=0:1 I=-2:10
    # gradgen: range gNa=50:150 gK=15:45 gL=0.02:0.1 EL=-75:-55 VT=-68:-52
    u = v - VT
    am = 0.32 * (u - 13.0) / (1.0 - jnp.exp(-(u - 13.0) / 4.0))
    bm = 0.28 * (u - 40.0) / (jnp.exp((u - 40.0) / 5.0) - 1.0)
    ah = 0.128 * jnp.exp((17.0 - u) / 18.0)
    bh = 4.0 / (1.0 + jnp.exp((40.0 - u) / 5.0))
    an = 0.032 * (u - 15.0) / (1.0 - jnp.exp(-(u - 15.0) / 5.0))
    bn = 0.5 * jnp.exp((10.0 - u) / 40.0)

    m_inf = am / (am + bm)
    h_inf = ah / (ah + bh)
    n_inf = an / (an + bn)

    I_Na = gNa * m**3 * h * (v - 50.0)
    I_K = gK * n**4 * (v + 90.0)
    I_L = gL * (v - EL)

    v_next = v + 0.02 * (I - I_Na - I_K - I_L)
    m_next = m_inf + (m - m_inf) * jnp.exp(-0.02 * (am + bm))
    h_next = h_inf + (h - h_inf) * jnp.exp(-0.02 * (ah + bh))
    n_next = n_inf + (n - n_inf) * jnp.exp(-0.02 * (an + bn))
    return v_next, m_next, h_next, n_next
