"""Leaky integrate-and-fire neuron driven through a current synapse, without reset.

Equations (one step of a fixed length dt, written as exponential decay factors):

    U' = a U + (1 - a) I
    I' = b I + (1 - b) S
    z  = spike(U' - th)          1 if U' > th, else 0

with a = exp(-dt / tau_mem) and b = exp(-dt / tau_syn). The current reaches the membrane one step
after the input that caused it.

Surrogate derivative of the spike: d spike(x) / dx := 1 / (10 |x| + 1). This is the shape of
SuperSpike (Zenke and Ganguli 2018), whose derivative is 1 / (beta |x| + 1)^2, but to the first
power: it falls off as 1/|x| instead of 1/x^2, so neurons far from their threshold keep learning.

Units: U, I, S and th are dimensionless (the threshold is of order one); a and b are fractions.

References:
    Zenke, F., Ganguli, S. (2018). SuperSpike: supervised learning in multilayer spiking neural
    networks. Neural Computation 30(6), 1514-1541. doi:10.1162/neco_a_01086
"""

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    """Heaviside step of x, differentiated as 1 / (10 |x| + 1)."""
    return jnp.asarray(x > 0.0, jnp.result_type(x))


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,) = primals
    (x_dot,) = tangents
    slope = 1.0 / (10.0 * jnp.abs(x) + 1.0)
    return spike(x), slope * x_dot


def lif_step(U, I, S, a=0.95, b=0.9, th=1.0):
    """Advance the neuron by one step.

    Args:
        U: membrane potential (dimensionless).
        I: synaptic current (dimensionless).
        S: input, the weighted sum of presynaptic spikes (dimensionless).
        a: membrane decay factor per step, exp(-dt / tau_mem).
        b: synaptic decay factor per step, exp(-dt / tau_syn).
        th: firing threshold (dimensionless).

    Returns:
        (U', I', z): the new potential, the new current and the spike, 0 or 1.
    """
    # gradgen: range U=-1:2 I=-2:2 S=-2:2
    # gradgen: range a=0.5:0.999 b=0.5:0.999 th=0.5:1.5
    U_next = a * U + (1.0 - a) * I
    I_next = b * I + (1.0 - b) * S
    z = spike(U_next - th)
    return U_next, I_next, z
