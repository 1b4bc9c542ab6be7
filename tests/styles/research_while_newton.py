"""Plain research code: implicit Euler, three Newton iterations in a while loop with a counter.

Reverse mode of JAX does not go through the while loop; forward mode does.
"""

import jax.numpy as jnp
from jax import lax


def implicit_step(v, current, g_leak=0.1, v_half=0.5, dt=0.5):
    """Leak and a persistent inward current, solved implicitly for the new potential."""

    def residual(u):
        gate = 1 / (1 + jnp.exp(-4 * (u - v_half)))
        value = u - v - dt * (current - g_leak * u + 0.2 * gate)
        slope = 1 + dt * (g_leak - 0.8 * gate * (1 - gate))
        return value, slope

    def not_done(loop):
        return loop[0] < 3

    def newton(loop):
        k, u = loop
        value, slope = residual(u)
        return k + 1, u - value / slope

    _, u = lax.while_loop(not_done, newton, (0, v + 0 * current))
    return u
