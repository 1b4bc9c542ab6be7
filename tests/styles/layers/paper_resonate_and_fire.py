"""Resonators with learned frequencies: real and imaginary part as columns, a refractory trace."""

# gradgen: shape u=(batch, n, 2) q=(batch, n) x=(batch, m) w=(m, n) omega=(n,) b=(n,)
# gradgen: range omega=5:10 b=0.1:1
# gradgen: next u=0 q=1

import jax
import jax.numpy as jnp


@jax.custom_gradient
def double_gaussian(x):
    z = jnp.where(x > 0, 1.0, 0.0).astype(x.dtype)

    def normal(mean, sigma):
        return jnp.exp(-0.5 * jnp.square((x - mean) / sigma)) / (sigma * jnp.sqrt(2 * jnp.pi))

    slope = 1.15 * normal(0.0, 0.5) - 0.15 * (normal(0.5, 3.0) + normal(-0.5, 3.0))
    return z, lambda g: g * slope


def resonator(u, q, x, w, omega, b, dt=0.01):
    b_eff = (-1 + jnp.sqrt(1 - (dt * omega) ** 2)) / dt - jnp.abs(b) - q
    re, im = u[..., 0], u[..., 1]
    re_next = re + dt * (b_eff * re - omega * im + 100.0 * (x @ w))
    im_next = im + dt * (omega * re + b_eff * im)
    z = double_gaussian(re_next - 1.0 - q)
    return jnp.stack((re_next, im_next), axis=-1), 0.9 * q + z
