"""A LIF neuron as spyx's layers compute it: (x, V) -> (spikes, V)."""

import jax
import jax.numpy as jnp


@jax.custom_gradient
def superspike(x):
    """Heaviside step of x, differentiated as 1 / (25 |x| + 1)^2."""
    return (x > 0.0).astype(x.dtype), lambda g: g / (1.0 + 25.0 * jnp.abs(x)) ** 2


def lif(x, V, beta=0.8, threshold=1.0):
    """Advance the neuron by one step.

    Args:
        x: input of this step.
        V: membrane potential.
        beta: membrane decay factor per step, held between 0 and 1.
        threshold: firing threshold; a spike lowers the potential by as much.

    Returns:
        (spikes, V'): the spike of the potential before this step, 0 or 1, and the new potential.
    """
    # gradgen: range x=-2:2 V=-1:2 beta=-0.2:1.2 threshold=0.5:1.5
    spikes = superspike(V - threshold)
    V = jnp.clip(beta, 0.0, 1.0) * V + x - spikes * threshold
    return spikes, V
