"""Leaky integrate-and-fire neuron with a gated reset, as one would naturally write it.

Equations (those of models/lif_2023.py without the read-outs):

    v  = a U + (1 - a) I
    I' = b I + (1 - b) S
    z  = spike(v - threshold)         1 if v > threshold, else 0
    U' = v (1 - z)

The spike has the surrogate derivative 1 / (10 |x| + 1) (see models/lif.py), and the gradient
passes through the reset gate 1 - z as well.

Units: all quantities are dimensionless; a and b are decay factors per step.

References:
    Neftci, E. O., Mostafa, H., Zenke, F. (2019). Surrogate gradient learning in spiking neural
    networks. IEEE Signal Processing Magazine 36(6), 51-63. doi:10.1109/MSP.2019.2931595
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


def lif_reset_step(U, I, S, a=0.95, b=0.9, threshold=1.0):
    """Advance the neuron by one step.

    Args:
        U: membrane potential (dimensionless).
        I: synaptic current (dimensionless).
        S: input, the weighted sum of presynaptic spikes (dimensionless).
        a: membrane decay factor per step, exp(-dt / tau_mem).
        b: synaptic decay factor per step, exp(-dt / tau_syn).
        threshold: firing threshold (dimensionless).

    Returns:
        (U', I', z): the potential after the reset, the new current and the spike, 0 or 1.
    """
    # gradgen: range U=-1:2 I=-2:2 S=-2:2
    # gradgen: range a=0.5:0.999 b=0.5:0.999 threshold=0.5:1.5
    v = a * U + (1.0 - a) * I
    I_next = b * I + (1.0 - b) * S
    z = spike(v - threshold)
    U_next = v * (1.0 - z)
    return U_next, I_next, z
