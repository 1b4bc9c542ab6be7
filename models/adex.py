"""Adaptive exponential integrate-and-fire neuron (AdEx) with a smooth reset.

Equations (forward Euler with dt = 0.5 ms):

    v1 = v + dt/C (-gL (v - EL) + gL D exp((v - VT) / D) - w + I)
    w1 = w + dt/tw (a (v - EL) - w)
    s  = sigmoid(v1)                         1 mV wide, around a spike peak of 0 mV
    v' = v1 + s (Vr - v1)
    w' = w1 + s b

The original resets when the upswing passes a peak potential: v becomes Vr, w becomes w + b.

Units: v, EL, D, VT and Vr in mV; w, I and b in pA; C in pF; gL and a in nS; tw in ms. The
defaults are the tonic cell with spike-frequency adaptation of the paper.

Near v = 0 mV the exponential is about 5e12 pA, so one Euler step can throw v1 to 1e10 mV. The
reset v1 + s (Vr - v1) then returns to Vr only to within the rounding of v1, which is hundreds of
mV in float32; from potentials below -20 mV it is below 1 mV.

References:
    Brette, R., Gerstner, W. (2005). Adaptive exponential integrate-and-fire model as an effective
    description of neuronal activity. Journal of Neurophysiology 94(5), 3637-3642.
    doi:10.1152/jn.00686.2005
"""

import jax
import jax.numpy as jnp


def adex_step(
    v, w, I, C=281.0, gL=30.0, EL=-70.6, D=2.0, VT=-50.4, tw=144.0, a=4.0, Vr=-70.6, b=80.5
):
    """Advance the neuron by 0.5 ms.

    Args:
        v: membrane potential (mV).
        w: adaptation current (pA).
        I: input current (pA).
        C: membrane capacitance (pF).
        gL: leak conductance (nS).
        EL: leak reversal potential (mV).
        D: slope factor of the spike upswing (mV).
        VT: threshold potential (mV).
        tw: time constant of the adaptation (ms).
        a: subthreshold adaptation (nS).
        Vr: potential after a spike (mV).
        b: jump of the adaptation current at a spike (pA).

    Returns:
        (v', w', s): the new potential, the new adaptation current and the graded spike.
    """
    # gradgen: range v=-95:0 w=-100:500 I=-500:1500
    # gradgen: range C=100:400 gL=5:40 EL=-75:-60 D=1.5:3 VT=-55:-45
    # gradgen: range tw=20:300 a=-5:10 Vr=-75:-45 b=0:120
    from_rest = v - EL
    upswing = gL * D * jnp.exp((v - VT) / D)
    v1 = v + 0.5 / C * (-gL * from_rest + upswing - w + I)
    w1 = w + 0.5 / tw * (a * from_rest - w)
    s = jax.nn.sigmoid(v1)
    v_next = v1 + s * (Vr - v1)
    w_next = w1 + s * b
    return v_next, w_next, s
