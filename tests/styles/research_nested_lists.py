"""Plain research code: state as nested lists, spike as a custom_jvp function of two arguments."""

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(v, theta):
    return (v >= theta).astype(v.dtype)


@spike.defjvp
def _(primals, tangents):
    v, theta = primals
    v_dot, theta_dot = tangents
    # a triangle, one wide on each side; flat zero beyond
    pseudo = 0.3 * jnp.maximum(0.0, 1.0 - jnp.abs(v - theta))
    return spike(v, theta), pseudo * (v_dot - theta_dot)


def update(state, current, tau_m=0.9, tau_a=0.98, jump=0.2):
    """Adaptive LIF: the state is [[v, a], [z]], potential and adaptation beside the last spike."""
    [[v, a], [z]] = state
    theta = 1.0 + jump * a
    v = tau_m * v + (1.0 - tau_m) * current - z * theta
    a = tau_a * a + z
    z = spike(v, theta)
    return [[v, a], [z]], [z, [v - theta]]
