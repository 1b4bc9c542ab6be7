"""Style of spyx: (x, VT) -> (spikes, VT), heaviside spike, boolean mask that subtracts the reset.

The spike's gradient is an arctangent surrogate; the reset goes through a boolean and has none.
"""

import jax
import jax.numpy as jnp


@jax.custom_gradient
def arctan_spike(x):
    """Heaviside step whose surrogate is the derivative of arctan(pi x) / pi."""
    scaled = jnp.pi * x
    return jnp.heaviside(x, 0.0), lambda g: g / (1.0 + scaled * scaled)


@jax.jit
def subtract_where(fired, V, amount):
    return V - fired * amount


def alif(x, VT, beta=0.9, gamma=0.95, threshold=1.0):
    """LIF neuron with an adaptive threshold; VT is the pair (potential, adaptation)."""
    V, T = VT
    theta = threshold + T
    overshoot = V - theta
    fired = overshoot > 0
    spikes = arctan_spike(overshoot)
    V = subtract_where(fired, jnp.clip(beta, 0, 1) * V + x, theta)
    T = jnp.clip(gamma, 0, 1) * T + (1 - gamma) * spikes
    return spikes, (V, T)
