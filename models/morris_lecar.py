"""Morris-Lecar model of the barnacle giant muscle fibre.

Equations (forward Euler with dt = 0.1 ms):

    V' = V + dt/C (I - gL (V - VL) - gCa m_inf (V - VCa) - gK N (V - VK))
    N' = N + dt rate (N_inf - N)

    m_inf = (1 + tanh((V - V1) / V2)) / 2        calcium channels, taken to be instantaneous
    N_inf = (1 + tanh((V - V3) / V4)) / 2        potassium channels at rest
    rate  = phi cosh((V - V3) / (2 V4))          and how fast they get there

The defaults are the commonly used set in which spiking begins through a Hopf bifurcation: the
fibre is silent without a current and fires at 100 uA/cm^2.

Units: V, VL, VCa, VK and V1 to V4 in mV; N is a fraction; I in uA/cm^2; conductances in mS/cm^2;
C in uF/cm^2; phi in 1/ms.

References:
    Morris, C., Lecar, H. (1981). Voltage oscillations in the barnacle giant muscle fiber.
    Biophysical Journal 35(1), 193-213. doi:10.1016/S0006-3495(81)84782-0
    Rinzel, J., Ermentrout, G. B. (1998). Analysis of neural excitability and oscillations. In:
    Koch, C., Segev, I. (eds), Methods in Neuronal Modeling, 2nd edition, 251-291. MIT Press.
"""

import jax.numpy as jnp


def morris_lecar_step(
    V,
    N,
    I,
    C=20.0,
    gL=2.0,
    gCa=4.4,
    gK=8.0,
    VL=-60.0,
    VCa=120.0,
    VK=-84.0,
    V1=-1.2,
    V2=18.0,
    V3=2.0,
    V4=30.0,
    phi=0.04,
):
    """Advance the fibre by 0.1 ms.

    Args:
        V: membrane potential (mV).
        N: fraction of open potassium channels.
        I: injected current density (uA/cm^2).
        C: membrane capacitance (uF/cm^2).
        gL: leak conductance (mS/cm^2).
        gCa: maximal calcium conductance (mS/cm^2).
        gK: maximal potassium conductance (mS/cm^2).
        VL: leak reversal potential (mV).
        VCa: calcium reversal potential (mV).
        VK: potassium reversal potential (mV).
        V1: potential at which half of the calcium channels are open (mV).
        V2: width of the calcium activation (mV).
        V3: potential at which half of the potassium channels are open (mV).
        V4: width of the potassium activation (mV).
        phi: slowest rate of the potassium channels (1/ms).

    Returns:
        (V', N'): the new potential and the new fraction of open potassium channels.
    """
    # gradgen: range V=-80:60 N=0:1 I=0:200
    # gradgen: range C=10:30 gL=1:4 gCa=3:6 gK=4:12 VL=-70:-50 VCa=100:140 VK=-95:-75
    # gradgen: range V1=-10:5 V2=10:25 V3=-5:15 V4=15:35 phi=0.02:0.25
    m_inf = 0.5 * (1.0 + jnp.tanh((V - V1) / V2))
    N_inf = 0.5 * (1.0 + jnp.tanh((V - V3) / V4))
    rate = phi * jnp.cosh((V - V3) / (2.0 * V4))

    I_L = gL * (V - VL)
    I_Ca = gCa * m_inf * (V - VCa)
    I_K = gK * N * (V - VK)

    V_next = V + 0.1 / C * (I - I_L - I_Ca - I_K)
    N_next = N + 0.1 * rate * (N_inf - N)
    return V_next, N_next
