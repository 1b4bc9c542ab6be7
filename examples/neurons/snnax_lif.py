"""A LIF neuron as snnax's layers compute it: (state, input) -> [state, spike]."""

import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_jvp
def superspike(x):
    """Heaviside step of x, differentiated as 1 / (10 |x| + 1)."""
    return jnp.heaviside(x, 1.0)


@superspike.defjvp
def _superspike_jvp(primals, tangents):
    (x,), (x_dot,) = primals, tangents
    return superspike(x), x_dot / (10.0 * jnp.abs(x) + 1.0)


def lif(state, synaptic_input, alpha=0.95, beta=0.9, threshold=1.0):
    """Advance the neuron by one step.

    Args:
        state: [potential, synaptic current, last spike].
        synaptic_input: the weighted sum of presynaptic spikes.
        alpha: membrane decay factor per step, held between 0.5 and 1.
        beta: synaptic decay factor per step, held between 0.5 and 1.
        threshold: firing threshold.

    Returns:
        [state', spike]: the new state and the spike, 0 or 1.
    """
    # gradgen: range state.0=-1:2 state.1=-2:2 state.2=0:1 synaptic_input=-2:2
    # gradgen: range alpha=0.4:1 beta=0.4:1 threshold=0.5:1.5
    mem_pot, syn_curr, spike_output = state
    alpha = lax.clamp(0.5, alpha, 1.0)
    beta = lax.clamp(0.5, beta, 1.0)
    mem_pot = mem_pot - lax.stop_gradient(mem_pot * spike_output)
    mem_pot = alpha * mem_pot + (1.0 - alpha) * syn_curr
    syn_curr = beta * syn_curr + (1.0 - beta) * synaptic_input
    spike_output = superspike(mem_pot - threshold)
    return [[mem_pot, syn_curr, spike_output], spike_output]
