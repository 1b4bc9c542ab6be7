"""Two-compartment pyramidal neuron that bursts when soma and dendrite are driven together.

Equations (forward Euler with dt = 0.1 ms), for the soma and the dendrite:

    F   = sigmoid((vd - Ed) / Dd)            the plateau of the dendrite's calcium spike
    v1  = vs + dt (-(vs - EL) / tau_s + (gs F - ws + Is) / Cs)
    z   = spike(v1 - VT)                     1 if v1 > VT, else 0
    vs' = v1 + z (EL - v1)
    ws' = ws - dt ws / tau_ws + b z
    vd' = vd + dt (-(vd - EL) / tau_d + (gd F - wd + c k + Id) / Cd)
    wd' = wd + dt (a (vd - EL) - wd) / tau_wd
    k'  = k - dt k / tau_k + z               the spike that travels back into the dendrite

A spike of the soma that travels back starts a calcium spike in a dendrite which is depolarised
already; the plateau F then lets the soma fire a burst. The state holds less than the cell of
Pinsky and Rinzel, from which models of this kind descend, since the spikes are not integrated.

Two things differ from Naud and Sprekeler: the back-propagating spike is an exponential of 2 ms
where they have a rectangle of 2 ms that starts after 0.5 ms, and there is no refractory period.

The spike has the surrogate derivative 1 / (1 + |x|)^2 with x in mV. The reset of the potential is
differentiated as well.

Units: vs, vd, EL, VT, Ed and Dd in mV; ws, wd, gs, gd, Is, Id, b and c in pA; a in nS; Cs and Cd
in pF; time constants in ms; F and k are dimensionless.

References:
    Naud, R., Sprekeler, H. (2018). Sparse bursts optimize information transmission in a multiplexed
    neural code. Proceedings of the National Academy of Sciences 115(27), E6329-E6338.
    doi:10.1073/pnas.1720995115
    Pinsky, P. F., Rinzel, J. (1994). Intrinsic and network rhythmogenesis in a reduced Traub model
    for CA3 neurons. Journal of Computational Neuroscience 1(1-2), 39-60. doi:10.1007/BF00962717
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class TwoCompartmentState(NamedTuple):
    """State: potentials vs and vd, adaptation ws and wd, back-propagated spike k."""

    vs: jax.Array
    ws: jax.Array
    vd: jax.Array
    wd: jax.Array
    k: jax.Array


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


def two_compartment_step(
    state: TwoCompartmentState,
    Is,
    Id,
    EL=-70.0,
    VT=-50.0,
    Ed=-38.0,
    Dd=6.0,
    gs=1300.0,
    gd=1200.0,
    Cs=370.0,
    Cd=170.0,
    tau_s=16.0,
    tau_d=7.0,
    tau_ws=100.0,
    tau_wd=30.0,
    tau_k=2.0,
    a=13.0,
    b=200.0,
    c=2600.0,
):
    """Advance the neuron by 0.1 ms.

    Args:
        state: potentials vs and vd (mV) of soma and dendrite, their adaptation currents ws and wd
            (pA), back-propagated spike k (dimensionless).
        Is: current into the soma (pA).
        Id: current into the dendrite (pA).
        EL: resting potential, and that of the soma after a spike (mV).
        VT: threshold of the soma (mV).
        Ed: potential of the dendrite at which the plateau is half reached (mV).
        Dd: width of the transition to the plateau (mV).
        gs: current from the plateau into the soma (pA).
        gd: current from the plateau into the dendrite (pA).
        Cs: capacitance of the soma (pF).
        Cd: capacitance of the dendrite (pF).
        tau_s: membrane time constant of the soma (ms).
        tau_d: membrane time constant of the dendrite (ms).
        tau_ws: time constant of the soma's adaptation (ms).
        tau_wd: time constant of the dendrite's adaptation (ms).
        tau_k: duration of the back-propagated spike (ms).
        a: adaptation of the dendrite per mV (nS).
        b: jump of the soma's adaptation at a spike (pA).
        c: current of the back-propagated spike into the dendrite (pA).

    Returns:
        (state', z): the new state and the spike, 0 or 1.
    """
    # gradgen: range state.vs=-95:-45 state.ws=0:1500 state.vd=-90:20 state.wd=-100:1000 state.k=0:3
    # gradgen: range Is=-500:1500 Id=-500:1500 EL=-75:-65 VT=-55:-45 Ed=-45:-30 Dd=4:8
    # gradgen: range gs=500:2000 gd=500:2000 Cs=200:500 Cd=100:300 tau_s=10:30 tau_d=5:15
    # gradgen: range tau_ws=50:200 tau_wd=15:60 tau_k=1:4 a=0:30 b=0:400 c=1000:4000
    vs, ws, vd, wd, k = state
    plateau = jax.nn.sigmoid((vd - Ed) / Dd)

    v1 = vs + 0.1 * (-(vs - EL) / tau_s + (gs * plateau - ws + Is) / Cs)
    z = spike(v1 - VT)
    vs_next = v1 + z * (EL - v1)
    ws_next = ws - 0.1 * ws / tau_ws + b * z

    vd_next = vd + 0.1 * (-(vd - EL) / tau_d + (gd * plateau - wd + c * k + Id) / Cd)
    wd_next = wd + 0.1 * (a * (vd - EL) - wd) / tau_wd
    k_next = k - 0.1 * k / tau_k + z
    return TwoCompartmentState(vs_next, ws_next, vd_next, wd_next, k_next), z
