"""Style of ODE solvers: right-hand side and step on one array, a place of its last axis each."""

import jax
import jax.numpy as jnp

# gradgen: shape y=(..., 4) x=(...)
# gradgen: wrt y, x
# gradgen: range y=0.1:0.9 x=0:1
# gradgen: next y=0


def dynamics(y, current):
    v, m, h, n = y[..., 0], y[..., 1], y[..., 2], y[..., 3]
    dv = current - 1.2 * m**3 * h * (v - 0.5) - 0.36 * n**4 * (v + 0.77) - 0.03 * (v + 0.54)
    dm = (1.0 - m) / (1.0 + jnp.exp(-4.0 * v)) - m * jnp.exp(-v)
    dh = 0.7 * jnp.exp(-v / 2.0) * (1.0 - h) - h / (1.0 + jnp.exp(3.0 - v))
    dn = 0.1 * jnp.exp(v) * (1.0 - n) - 0.125 * jnp.exp(-v / 8.0) * n
    return jnp.stack([dv, dm, dh, dn], axis=-1)


def step(y, x, dt=0.05):
    y = y + dt * dynamics(y, x)
    return y, jax.nn.sigmoid(5.0 * y[..., 0])
