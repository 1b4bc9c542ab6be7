"""Leaky integrate-and-fire neuron with a gated reset and saturating read-outs.

This is the neuron whose elimination orders are the worked example of this project: in the count
of one multiplication for each pair of edges, forward mode takes 27, reverse mode 25 and the best
order 22. All six arguments are differentiated, so none of them has a default.

Equations, one operation a line:

    v1 = a U        v2 = 1 - a      v5 = v2 I       v7 = v1 + v5
    v3 = b I        v4 = 1 - b      v6 = v4 S       v8 = v3 + v6
    v9 = h(v7, threshold)
    outputs  f(v9),  r(v7, v9),  g(v8)

    h(v, threshold) = 1 if v > threshold, else 0         the spike        (``spike``)
    r(v, z)         = v (1 - z)                          the gated reset  (``reset``)
    f(z)            = 2 z / (1 + z)                      the released transmitter  (``release``)
    g(i)            = tanh(i)                            the saturating current    (``saturate``)

f is a Michaelis-Menten curve, normalised so that f(0) = 0 and f(1) = 1: a whole spike releases
one unit. g bounds the current, since a synapse has finitely many receptors. Each of the four is a
``custom_jvp`` function with a rule of its own, hence one vertex of the computational graph:

    dh/dv = -dh/dthreshold := 1 / (10 |v - threshold| + 1)     a surrogate, see models/lif.py
    dr/dv = 1 - z,  dr/dz = -v
    df/dz = 2 / (1 + z)^2
    dg/di = 1 - g^2

Units: all quantities are dimensionless; a and b are decay factors per step.

References:
    Griewank, A., Walther, A. (2008). Evaluating Derivatives: Principles and Techniques of
    Algorithmic Differentiation, 2nd edition. SIAM. doi:10.1137/1.9780898717761 (elimination)
    Zenke, F., Ganguli, S. (2018). SuperSpike: supervised learning in multilayer spiking neural
    networks. Neural Computation 30(6), 1514-1541. doi:10.1162/neco_a_01086 (the surrogate)
"""

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(v, threshold):
    """1 above the threshold, 0 elsewhere; the derivative is a surrogate."""
    return jnp.asarray(v > threshold, jnp.result_type(v, threshold))


@spike.defjvp
def _spike_jvp(primals, tangents):
    v, threshold = primals
    v_dot, threshold_dot = tangents
    slope = 1.0 / (10.0 * jnp.abs(v - threshold) + 1.0)
    return spike(v, threshold), slope * v_dot - slope * threshold_dot


@jax.custom_jvp
def reset(v, z):
    """The membrane potential after the spike z: v without a spike, 0 with one."""
    return v * (1.0 - z)


@reset.defjvp
def _reset_jvp(primals, tangents):
    v, z = primals
    v_dot, z_dot = tangents
    return reset(v, z), (1.0 - z) * v_dot - v * z_dot


@jax.custom_jvp
def release(z):
    """The transmitter released by the spike z, saturating; 0 for 0 and 1 for 1."""
    return 2.0 * z / (1.0 + z)


@release.defjvp
def _release_jvp(primals, tangents):
    (z,) = primals
    (z_dot,) = tangents
    return release(z), 2.0 / (1.0 + z) ** 2 * z_dot


@jax.custom_jvp
def saturate(i):
    """The current i, bounded by -1 and 1."""
    return jnp.tanh(i)


@saturate.defjvp
def _saturate_jvp(primals, tangents):
    (i,) = primals
    (i_dot,) = tangents
    current = saturate(i)
    return current, (1.0 - current * current) * i_dot


def lif_2023_step(U, I, S, a, b, threshold):
    """Advance the neuron by one step.

    Args:
        U: membrane potential (dimensionless).
        I: synaptic current (dimensionless).
        S: input, the weighted sum of presynaptic spikes (dimensionless).
        a: membrane decay factor per step, exp(-dt / tau_mem).
        b: synaptic decay factor per step, exp(-dt / tau_syn).
        threshold: firing threshold (dimensionless).

    Returns:
        (z, U', I'): the released spike f, the reset potential r and the saturated current g.
    """
    # gradgen: range U=-1:2 I=-2:2 S=-2:2
    # gradgen: range a=0.5:0.999 b=0.5:0.999 threshold=0.5:1.5
    v = a * U + (1.0 - a) * I
    i = b * I + (1.0 - b) * S
    h = spike(v, threshold)
    z = release(h)
    U_next = reset(v, h)
    I_next = saturate(i)
    return z, U_next, I_next
