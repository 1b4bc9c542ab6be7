"""Style of snnax: (state, x) -> [state, spike], list state, clamped decays, stopped reset."""

import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_jvp
def superspike(x):
    return jnp.heaviside(x, 1)


@superspike.defjvp
def superspike_jvp(primals, tangents):
    (x,) = primals
    (x_dot,) = tangents
    return superspike(x), 1 / (10 * jnp.abs(x) + 1) * x_dot


def lif(state, synaptic_input, *, key=None):
    """Two-compartment LIF layer for one neuron; ``key`` is accepted and ignored, as in layers."""
    del key
    alpha = lax.clamp(0.5, 0.95, 1.0)
    beta = lax.clamp(0.5, 0.85, 1.0)
    mem_pot, syn_curr = state

    mem_pot = alpha * mem_pot + (1.0 - alpha) * syn_curr
    syn_curr = beta * syn_curr + (1.0 - beta) * synaptic_input

    spike_output = superspike(mem_pot - 1.0)
    reset_pot = mem_pot * lax.stop_gradient(spike_output)
    mem_pot = mem_pot - reset_pot

    state = [mem_pot, syn_curr]
    return [state, spike_output]
