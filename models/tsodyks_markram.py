"""Tsodyks-Markram synapse with short-term plasticity.

Equations (exact between spikes, with dt = 1 ms):

    u1 = u exp(-dt / tau_f)                  the release probability decays
    x1 = 1 - (1 - x) exp(-dt / tau_d)        the resources recover
    u' = u1 + U (1 - u1) s                   a presynaptic spike facilitates,
    r  = u' x1 s                             releases a part of what there is,
    x' = x1 - r                              which is gone until it has recovered,
    i' = i exp(-dt / tau_s) + A r            and flows as a current

Between spikes u goes to zero, so the first spike releases U. A large U with tau_d > tau_f gives
depression: the amplitudes fall with each spike of a train. A small U with tau_f > tau_d gives
facilitation. The defaults are a depressing synapse; U = 0.15, tau_f = 750 ms and tau_d = 50 ms make
it a facilitating one.

The step has no threshold: s is the presynaptic spike, and the derivative with respect to it is that
of a graded one.

Units: u, x, r, s and U are fractions; i and A in pA; time constants in ms.

References:
    Tsodyks, M. V., Markram, H. (1997). The neural code between neocortical pyramidal neurons
    depends on neurotransmitter release probability. Proceedings of the National Academy of Sciences
    94(2), 719-723. doi:10.1073/pnas.94.2.719
    Tsodyks, M., Pawelzik, K., Markram, H. (1998). Neural networks with dynamic synapses. Neural
    Computation 10(4), 821-835. doi:10.1162/089976698300017502
"""

import jax.numpy as jnp


def tsodyks_markram_step(u, x, i, s, U=0.45, tau_f=50.0, tau_d=750.0, tau_s=20.0, A=100.0):
    """Advance the synapse by 1 ms.

    Args:
        u: release probability (fraction).
        x: available resources (fraction).
        i: postsynaptic current (pA).
        s: presynaptic spike of this step, 0 or 1.
        U: increase of the release probability at a spike (fraction).
        tau_f: time constant of facilitation (ms).
        tau_d: time constant of depression (ms).
        tau_s: time constant of the current (ms).
        A: current if everything is released (pA).

    Returns:
        (u', x', i'): the new release probability, resources and current.
    """
    # gradgen: range u=0:1 x=0:1 i=0:100 s=0:1
    # gradgen: range U=0.05:0.9 tau_f=5:1000 tau_d=20:1000 tau_s=2:50 A=10:500
    u1 = u * jnp.exp(-1.0 / tau_f)
    x1 = 1.0 - (1.0 - x) * jnp.exp(-1.0 / tau_d)
    u_next = u1 + U * (1.0 - u1) * s
    released = u_next * x1 * s
    x_next = x1 - released
    i_next = i * jnp.exp(-1.0 / tau_s) + A * released
    return u_next, x_next, i_next
