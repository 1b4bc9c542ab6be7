"""Squid axons with synapses by transmitter: rates with their singular points caught by where."""

# gradgen: shape y=(4, n) s=(n,) x=(n,) w=(n, n)
# gradgen: range y=0:1 s=0:1 x=0:20 w=0:1

import jax.numpy as jnp


def vtrap(x, y):
    safe = jnp.where(jnp.abs(x / y) < 1e-6, 1.0, x)
    return jnp.where(jnp.abs(x / y) < 1e-6, y * (1 - x / y / 2), safe / (jnp.exp(safe / y) - 1))


def axons(y, s, x, w, dt=0.01):
    v, m, h, n = 40.0 * y[0] - 65.0, y[1], y[2], y[3]
    am, bm = 0.1 * vtrap(-(v + 40.0), 10.0), 4.0 * jnp.exp(-(v + 65.0) / 18.0)
    ah, bh = 0.07 * jnp.exp(-(v + 65.0) / 20.0), 1.0 / (jnp.exp(-(v + 35.0) / 10.0) + 1.0)
    an, bn = 0.01 * vtrap(-(v + 55.0), 10.0), 0.125 * jnp.exp(-(v + 65.0) / 80.0)
    synaptic = 0.1 * (w.T @ s) * (0.0 - v)
    dv = x + synaptic - 120 * m**3 * h * (v - 50) - 36 * n**4 * (v + 77) - 0.3 * (v + 54.4)
    gates = [am * (1 - m) - bm * m, ah * (1 - h) - bh * h, an * (1 - n) - bn * n]
    y = y + dt * jnp.stack([dv / 40.0, *gates])
    release = 1.0 / (1.0 + jnp.exp(-(v - 2.0) / 5.0))
    s = s + dt * (1.1 * release * (1.0 - s) - 0.19 * s)
    return y, s
