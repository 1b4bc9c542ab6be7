"""A spiking GRU: gates from one matrix that is split, the state is gated and then thresholded."""

# gradgen: example params={wx, wz, b}
# gradgen: shape params.wx=(m, 3*n) params.wz=(n, 3*n) params.b=(3*n,) x=(batch, m)
# gradgen: shape carry.0=(batch, n) carry.1=(batch, n)

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _spike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2


def spiking_gru(carry, x, params):
    v, z = carry
    xr, xu, xc = jnp.split(x @ params["wx"] + params["b"], 3, axis=-1)
    hr, hu, hc = jnp.array_split(z @ params["wz"], 3, axis=-1)
    r, u = jax.nn.sigmoid(xr + hr), jax.nn.hard_sigmoid(xu + hu)
    candidate = jnp.tanh(xc + r * hc)
    v = (1 - u) * v + u * candidate
    z = spike(v - 0.2)
    return (jax.lax.select(z > 0, jnp.zeros_like(v), v), z), z
