"""Izhikevich neuron with a smooth reset.

Equations (forward Euler with dt = 0.5 ms):

    v1 = v + dt (0.04 v^2 + 5 v + 140 - u + I)
    u1 = u + dt a (b v - u)
    s  = sigmoid(v1 - 30)
    v' = v1 + s (c - v1)
    u' = u1 + s d

The original resets where v >= 30 mV: v becomes c and u becomes u + d. Here the sigmoid, 1 mV
wide, blends between "no reset" (s = 0) and "reset" (s = 1), which makes the step differentiable.

Units: v and c in mV; u, I and d in mV/ms (the model absorbs the capacitance); a in 1/ms; b in
1/ms. The defaults are the regular-spiking cell.

References:
    Izhikevich, E. M. (2003). Simple model of spiking neurons. IEEE Transactions on Neural
    Networks 14(6), 1569-1572. doi:10.1109/TNN.2003.820440
"""

import jax


def izhikevich_step(v, u, I, a=0.02, b=0.2, c=-65.0, d=8.0):
    """Advance the neuron by 0.5 ms.

    Args:
        v: membrane potential (mV).
        u: recovery variable (mV/ms).
        I: input current (mV/ms).
        a: rate of recovery (1/ms).
        b: coupling of the recovery variable to v (1/ms).
        c: potential after a spike (mV).
        d: jump of the recovery variable at a spike (mV/ms).

    Returns:
        (v', u', s): the new potential, the new recovery variable and the graded spike.
    """
    # gradgen: range v=-90:40 u=-20:20 I=-20:40
    # gradgen: range a=0.01:0.2 b=0.1:0.3 c=-70:-45 d=0.05:10
    v1 = v + 0.5 * (0.04 * v**2 + 5.0 * v + 140.0 - u + I)
    u1 = u + 0.5 * a * (b * v - u)
    s = jax.nn.sigmoid(v1 - 30.0)
    v_next = v1 + s * (c - v1)
    u_next = u1 + s * d
    return v_next, u_next, s
