"""Plain research code: channel rates with a removable singularity, guarded by a double where."""

import jax.numpy as jnp


def linoid(x):
    """x / (exp(x) - 1), one at zero."""
    near = jnp.abs(x) < 1e-3
    safe = jnp.where(near, 1.0, x)
    return jnp.where(near, 1.0 - x / 2 + x * x / 12, safe / jnp.expm1(safe))


def potassium(v, n, current, g=36.0, dt=0.01):
    """Delayed rectifier with the linoid opening rate; v in mV, rates in 1/ms."""
    # gradgen: range v=-90:50 n=0:1 current=-10:30
    alpha = 0.1 * linoid(-(v + 55.0) / 10.0)
    beta = 0.125 * jnp.exp(-(v + 65.0) / 80.0)
    n_next = n + dt * (alpha * (1.0 - n) - beta * n)
    v_next = v + dt * (current - g * n**4 * (v + 77.0) - 0.3 * (v + 54.4))
    return v_next, n_next
