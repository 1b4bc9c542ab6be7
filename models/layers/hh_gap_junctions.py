"""Layer of Hodgkin-Huxley neurons that are coupled by gap junctions.

Equations (forward Euler with dt = 0.01 ms, membrane capacitance 1 uF/cm^2):

    I_gap = sum over j of G_kj (v_j - v_k)      = (v G - v (sum of each row of G))_k, G symmetric
    v' = v + dt (x W + I_gap - gNa m^3 h (v - ENa) - gK n^4 (v - EK) - gL (v - EL))
    y' = y + dt (ay (1 - y) - by y)                                for y = m, h, n

    am = 0.1 (v + 40) / (1 - exp(-(v + 40) / 10))      bm = 4 exp(-(v + 65) / 18)
    ah = 0.07 exp(-(v + 65) / 20)                      bh = 1 / (1 + exp(-(v + 35) / 10))
    an = 0.01 (v + 55) / (1 - exp(-(v + 55) / 10))     bn = 0.125 exp(-(v + 65) / 80)

with ENa = 50 mV, EK = -77 mV and EL = -54.4 mV. What flows through a gap junction leaves one cell
and enters the other, so the currents I_gap sum to zero. They are the graph Laplacian of G applied
to the potentials, and draw these together: coupled cells fire together.

am and an are written with y / (1 - exp(-y)), which is 1 + y / 2 near its removable singularity, so
that no potential gives NaN.

Units: v in mV; m, h and n are fractions between 0 and 1; x W in uA/cm^2; G, gNa, gK and gL in
mS/cm^2; rates in 1/ms.

References:
    Hodgkin, A. L., Huxley, A. F. (1952). A quantitative description of membrane current and its
    application to conduction and excitation in nerve. The Journal of Physiology 117(4), 500-544.
    doi:10.1113/jphysiol.1952.sp004764
    Kopell, N., Ermentrout, B. (2004). Chemical and electrical synapses perform complementary roles
    in the synchronization of interneuronal networks. Proceedings of the National Academy of
    Sciences 101(43), 15482-15487. doi:10.1073/pnas.0406343101
"""

# gradgen: shape v=(batch, n) m=(batch, n) h=(batch, n) k=(batch, n)
# gradgen: shape x=(batch, n_in) w=(n_in, n) g=(n, n)
# gradgen: size batch=32 n_in=64 n=128
# gradgen: wrt v, m, h, k, x, w, g

import jax.numpy as jnp


def linear_over_exponential(y):
    """y / (1 - exp(-y)), also near zero."""
    small = jnp.abs(y) < 1e-3
    return jnp.where(small, 1.0 + 0.5 * y, y / (1.0 - jnp.exp(-jnp.where(small, 1.0, y))))


def hh_gap_junctions(v, m, h, k, x, w, g, gNa=120.0, gK=36.0, gL=0.3):
    """Advance the layer by 0.01 ms.

    Args:
        v: membrane potentials (mV).
        m: activation of the sodium channels (fraction).
        h: fraction of the sodium channels that is not inactivated.
        k: activation n of the potassium channels (fraction).
        x: input.
        w: current density for a unit of each input (uA/cm^2), a row for each.
        g: conductances of the gap junctions (mS/cm^2), a symmetric matrix.
        gNa: maximal sodium conductance (mS/cm^2).
        gK: maximal potassium conductance (mS/cm^2).
        gL: leak conductance (mS/cm^2).

    Returns:
        (v', m', h', n'): the new potentials and gating variables.
    """
    # gradgen: next v=0 m=1 h=2 k=3
    # gradgen: range v=-90:50 m=0:1 h=0:1 k=0:1 x=0:1 w=-10:10 g=0:0.1
    # gradgen: range gNa=60:180 gK=18:54 gL=0.1:0.6
    am = linear_over_exponential((v + 40.0) / 10.0)
    bm = 4.0 * jnp.exp(-(v + 65.0) / 18.0)
    ah = 0.07 * jnp.exp(-(v + 65.0) / 20.0)
    bh = 1.0 / (1.0 + jnp.exp(-(v + 35.0) / 10.0))
    an = 0.1 * linear_over_exponential((v + 55.0) / 10.0)
    bn = 0.125 * jnp.exp(-(v + 65.0) / 80.0)

    I_Na = gNa * m**3 * h * (v - 50.0)
    I_K = gK * k**4 * (v + 77.0)
    I_L = gL * (v + 54.4)
    I_gap = v @ g - v * g.sum(1)

    v_next = v + 0.01 * (x @ w + I_gap - I_Na - I_K - I_L)
    m_next = m + 0.01 * (am * (1.0 - m) - bm * m)
    h_next = h + 0.01 * (ah * (1.0 - h) - bh * h)
    k_next = k + 0.01 * (an * (1.0 - k) - bn * k)
    return v_next, m_next, h_next, k_next
