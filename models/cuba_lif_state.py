"""Current-based leaky integrate-and-fire neuron with its state in a NamedTuple.

The convention of most recurrent layers and of ``jax.lax.scan``: (state, x) -> (state, spike), the
parameters in a plain dict.

Equations (one step of a fixed length dt):

    i' = beta i + w x
    v' = alpha v (1 - z) + (1 - alpha) i'
    z' = spike(v' - threshold)               1 if v' > threshold, else 0

with alpha = exp(-dt / tau_mem) and beta = exp(-dt / tau_syn). The membrane starts again from zero
in the step after a spike; the gate 1 - z takes part in the gradient. The spike has the surrogate
derivative 1 / (10 |x| + 1) (see models/lif.py).

Units: v, i, x, w and threshold are dimensionless; alpha and beta are fractions.

References:
    Neftci, E. O., Mostafa, H., Zenke, F. (2019). Surrogate gradient learning in spiking neural
    networks. IEEE Signal Processing Magazine 36(6), 51-63. doi:10.1109/MSP.2019.2931595
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class CubaLIFState(NamedTuple):
    """State of the neuron: potential v, synaptic current i, spike z of the last step."""

    v: jax.Array
    i: jax.Array
    z: jax.Array


PARAMS = {"alpha": 0.95, "beta": 0.9, "w": 1.0, "threshold": 1.0}


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


def cuba_lif_step(state: CubaLIFState, x, params=PARAMS):
    """Advance the neuron by one step.

    Args:
        state: potential v, synaptic current i and last spike z (all dimensionless).
        x: input of this step, 0 or 1 for a single presynaptic neuron (dimensionless).
        params: membrane and synaptic decay factors alpha and beta, synaptic weight w and firing
            threshold, all dimensionless.

    Returns:
        (state', z'): the new state and the spike, which the new state holds as well.
    """
    # gradgen: range state.v=-1:2 state.i=-2:3 state.z=0:1 x=-1:2
    # gradgen: range params.alpha=0.5:0.999 params.beta=0.5:0.999 params.w=-2:2
    # gradgen: range params.threshold=0.5:1.5
    alpha = params["alpha"]
    i = params["beta"] * state.i + params["w"] * x
    v = alpha * state.v * (1.0 - state.z) + (1.0 - alpha) * i
    z = spike(v - params["threshold"])
    return CubaLIFState(v, i, z), z
