"""After Tsodyks and Markram: synapses that are depressed and facilitated."""

# gradgen: shape v=(n,) r=(n,) u=(n,) x=(n,) w=(n, n) tau_d=(n,) tau_f=(n,) U=(n,)
# gradgen: range r=0:1 u=0:1 U=0:1 tau_d=20:200 tau_f=20:200 x=0:1

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _spike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2


def short_term(v, r, u, x, w, tau_d, tau_f, U, dt=1.0):
    z = spike(v - 0.8)
    u_next = u + dt * (U - u) / tau_f + U * (1 - u) * z
    released = u_next * r * z
    r_next = r + dt * (1.0 - r) / tau_d - released
    v_next = 0.9 * v * (1 - z) + x + w.T @ released
    return v_next, r_next, u_next
