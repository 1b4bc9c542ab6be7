"""Style of spyx: dense, LIF, dense, leaky integrator; parameters as Haiku nests them."""

# gradgen: example params={linear: {w, b}, lif: {beta}, readout: {w}, li: {beta}}
# gradgen: shape params.linear.w=(channels, hidden) params.linear.b=(hidden,)
# gradgen: shape params.lif.beta=(hidden,) params.readout.w=(hidden, classes) params.li.beta=()
# gradgen: shape x=(batch, channels) state.0=(batch, hidden) state.1=(batch, classes)
# gradgen: range params.lif.beta=0:1 params.li.beta=0:1
# gradgen: next state.0=1.0 state.1=1.1

import jax
import jax.numpy as jnp


@jax.custom_gradient
def superspike(x):
    scaled = 1.0 / (1.0 + 25.0 * jnp.abs(x)) ** 2
    return jnp.heaviside(x, 0.0), lambda g: g * scaled


def network(params, x, state):
    V, out = state
    current = jnp.dot(x, params["linear"]["w"]) + params["linear"]["b"]
    spikes = superspike(V - 1.0)
    V = jnp.clip(params["lif"]["beta"], 0, 1) * V + current - spikes
    out = jnp.clip(params["li"]["beta"], 0, 1) * out + jnp.dot(spikes, params["readout"]["w"])
    return out, [V, out]
