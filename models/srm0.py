"""Spike response model of zeroth order (SRM0) with escape noise.

Equations (one step of length dt = 1 ms, kernels as exponential decay factors):

    i'   = b i + x                           synaptic current
    h'   = a h + (1 - a) i'                  input potential: the kernel epsilon
    e1   = c e                               refractory potential: the kernel eta
    u    = h' + e1
    p    = 1 - exp(-dt rho0 exp((u - theta) / width))         probability of a spike
    z    = fire(p, r)                        1 if p > r, else 0
    e'   = e1 + z (eta0 - e1)

The potential u depends on the input and on the time since the *last* spike alone: a spike sets the
refractory potential to eta0, whatever it was, where models with cumulative adaptation would add.
The threshold is noisy. The caller draws r uniformly between 0 and 1, so that the step itself is
deterministic; r = 0.5 in every step is a neuron without noise.

The derivative of fire is 1 with respect to p and 0 with respect to r: over r, the mean of the
spike is p, so this is the derivative of the mean.

Units: u, h, e, theta, width, eta0, i and x in mV; rho0 in 1/ms; p and r are probabilities; a, b
and c are decay factors per step. The defaults are 10 ms, 5 ms and 10 ms.

References:
    Gerstner, W. (1995). Time structure of the activity in neural network models. Physical Review E
    51(1), 738-758. doi:10.1103/PhysRevE.51.738
    Gerstner, W., Kistler, W. M. (2002). Spiking Neuron Models: Single Neurons, Populations,
    Plasticity. Cambridge University Press. doi:10.1017/CBO9780511815706
"""

import jax
import jax.numpy as jnp


@jax.custom_jvp
def fire(p, r):
    """1 where p > r, else 0; differentiated as if it were its mean p."""
    return jnp.asarray(p > r, jnp.result_type(p, r))


@fire.defjvp
def _fire_jvp(primals, tangents):
    p, r = primals
    p_dot, _ = tangents
    return fire(p, r), p_dot


def srm0_step(state, x, r, a=0.905, b=0.819, c=0.905, eta0=-15.0, theta=15.0, width=2.0, rho0=1.0):
    """Advance the neuron by 1 ms.

    Args:
        state: input potential h, synaptic current i, refractory potential e (all in mV).
        x: weighted sum of presynaptic spikes (mV).
        r: random number between 0 and 1, held constant.
        a: membrane decay factor per step.
        b: synaptic decay factor per step.
        c: decay factor per step of the refractory potential.
        eta0: refractory potential right after a spike (mV).
        theta: threshold (mV).
        width: how far below the threshold spikes become rare (mV).
        rho0: firing intensity at the threshold (1/ms).

    Returns:
        ((h', i', e'), z, p): the new state, the spike, 0 or 1, and its probability.
    """
    # gradgen: wrt state, x
    # gradgen: range state.0=-10:30 state.1=-10:40 state.2=-20:0 x=-20:40 r=0:1
    # gradgen: range a=0.8:0.99 b=0.5:0.95 c=0.8:0.99 eta0=-30:0 theta=10:20 width=1:5 rho0=0.1:2
    h, i, e = state
    i_next = b * i + x
    h_next = a * h + (1.0 - a) * i_next
    e1 = c * e
    u = h_next + e1
    p = -jnp.expm1(-rho0 * jnp.exp((u - theta) / width))
    z = fire(p, r)
    e_next = e1 + z * (eta0 - e1)
    return (h_next, i_next, e_next), z, p
