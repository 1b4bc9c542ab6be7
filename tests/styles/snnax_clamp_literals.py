"""Style of snnax: lax.clamp with literal bounds, which JAX takes in its default dtype alone.

With 64-bit types off the source works in float32 and nowhere else; with them on, in float64.
"""

import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_jvp
def _sigma_spike(x):
    return jnp.heaviside(x, 0.0)


@_sigma_spike.defjvp
def _sigma_spike_jvp(primals, tangents):
    (x,) = primals
    (x_dot,) = tangents
    return _sigma_spike(x), jax.nn.sigmoid(x) * jax.nn.sigmoid(-x) * x_dot


def simple_lif(state, synaptic_input):
    """LIF neuron without a synaptic current, its potential clamped between two literals."""
    (mem_pot,) = state
    mem_pot = 0.9 * mem_pot + 0.1 * synaptic_input
    mem_pot = lax.clamp(-1.5, mem_pot, 1.5)
    spike_output = _sigma_spike(mem_pot - 1.0)
    return [[mem_pot - lax.stop_gradient(spike_output)], spike_output]
