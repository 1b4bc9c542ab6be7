"""Synapse with spike-timing-dependent plasticity (STDP) from traces of pairs.

Equations (one step of length dt = 1 ms):

    p1 = p exp(-dt / tau_plus)               trace of the presynaptic spikes
    q1 = q exp(-dt / tau_minus)              trace of the postsynaptic spikes
    w' = clip(w + A_plus p1 s_post - A_minus q1 s_pre, 0, w_max)
    p' = p1 + s_pre
    q' = q1 + s_post

Every pair of spikes counts. A postsynaptic spike strengthens the synapse by what is left of the
trace of earlier presynaptic ones, a presynaptic spike weakens it by what is left of the
postsynaptic trace. The weight is updated before the spikes of this step enter the traces: spikes in
the same step do not act on each other.

There is no threshold; the derivatives with respect to s_pre and s_post are those of graded spikes.
Where the weight reaches a bound, its derivative is that of ``jax.numpy.clip``.

Units: w, w_max, A_plus, A_minus and the traces are dimensionless; time constants in ms.

References:
    Song, S., Miller, K. D., Abbott, L. F. (2000). Competitive Hebbian learning through
    spike-timing-dependent synaptic plasticity. Nature Neuroscience 3(9), 919-926. doi:10.1038/78829
    Morrison, A., Diesmann, M., Gerstner, W. (2008). Phenomenological models of synaptic plasticity
    based on spike timing. Biological Cybernetics 98(6), 459-478. doi:10.1007/s00422-008-0233-1
"""

import jax.numpy as jnp

PARAMS = {"A_plus": 0.01, "A_minus": 0.0105, "tau_plus": 20.0, "tau_minus": 20.0, "w_max": 1.0}


def stdp_step(w, p, q, s_pre, s_post, params=PARAMS):
    """Advance the synapse by 1 ms.

    Args:
        w: synaptic weight (dimensionless).
        p: trace of the presynaptic spikes (dimensionless).
        q: trace of the postsynaptic spikes (dimensionless).
        s_pre: presynaptic spike of this step, 0 or 1.
        s_post: postsynaptic spike of this step, 0 or 1.
        params: amplitudes A_plus and A_minus and time constants tau_plus and tau_minus (ms) of
            potentiation and depression, largest weight w_max (dimensionless).

    Returns:
        (w', p', q'): the new weight and traces.
    """
    # gradgen: next w=0, p=1, q=2
    # gradgen: range w=0:1 p=0:5 q=0:5 s_pre=0:1 s_post=0:1
    # gradgen: range params.A_plus=0.001:0.1 params.A_minus=0.001:0.1
    # gradgen: range params.tau_plus=5:50 params.tau_minus=5:50 params.w_max=0.5:2
    p1 = p * jnp.exp(-1.0 / params["tau_plus"])
    q1 = q * jnp.exp(-1.0 / params["tau_minus"])
    change = params["A_plus"] * p1 * s_post - params["A_minus"] * q1 * s_pre
    w_next = jnp.clip(w + change, 0.0, params["w_max"])
    return w_next, p1 + s_pre, q1 + s_post
