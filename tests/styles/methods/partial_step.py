"""A step with its constants bound by functools.partial, compiled."""

from functools import partial

import jax
import jax.numpy as jnp


def _izhikevich(a, b, v, u, current, dt, c=-65.0):
    """Izhikevich's neuron without its reset."""
    dv = 0.04 * v**2 + 5.0 * v + 140.0 - u + current
    v_next = jnp.minimum(v + dt * dv, 30.0)
    return v_next, u + dt * a * (b * v - u), jnp.tanh((v_next - c) / 30.0)


# gradgen: range v=-70:30 u=-15:5 current=0:10
# gradgen: next v=0, u=1
step = jax.jit(partial(_izhikevich, 0.02, 0.2, dt=0.5))
