"""Style of snnax: list state read by index, clamp on a state, surrogate from a factory."""

import jax
import jax.numpy as jnp
from jax import lax


def _superspike_surrogate(beta=10.0):
    """A spike function with its own slope."""

    @jax.custom_jvp
    def spike_fn(x):
        return jnp.where(x >= 0, jnp.ones_like(x), jnp.zeros_like(x))

    @spike_fn.defjvp
    def spike_fn_jvp(primals, tangents):
        (x,), (x_dot,) = primals, tangents
        return spike_fn(x), x_dot / (beta * lax.abs(x) + 1.0)

    return spike_fn


spike_fn = _superspike_surrogate(5.0)


def adaptive_lif(state, synaptic_input, alpha=0.9, beta=0.8, gamma=0.99, threshold=1.0):
    """LIF neuron with adaptation current; the state is [membrane, current, adaptation, spike]."""
    mem_pot = state[0]
    syn_curr = state[1]
    ada_var = state[2]
    last_spike = state[3]

    alpha = jnp.clip(alpha, 0.5, 1.0)
    mem_pot = alpha * mem_pot + (1.0 - alpha) * (syn_curr + ada_var)
    mem_pot = lax.clamp(jnp.full_like(mem_pot, -2.0), mem_pot, jnp.full_like(mem_pot, 2.0))
    syn_curr = beta * syn_curr + (1.0 - beta) * synaptic_input
    ada_var = gamma * ada_var - (1.0 - gamma) * (0.5 * mem_pot + last_spike)

    spike_output = spike_fn(mem_pot - threshold)
    mem_pot = mem_pot - lax.stop_gradient(spike_output * threshold)
    return [[mem_pot, syn_curr, ada_var, spike_output], spike_output]
