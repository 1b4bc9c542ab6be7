"""Plasticity inside the step: traces before and after the synapse, weights that are state."""

# gradgen: example state=({w, pre, post}, v)
# gradgen: shape state.0.w=(m, n) state.0.pre=(m,) state.0.post=(n,) state.1=(n,) x=(m,)
# gradgen: range state.0.w=0:1 state.0.pre=0:1 state.0.post=0:1 x=0:1
# gradgen: next state.0.w=0.0.w state.0.pre=0.0.pre state.0.post=0.0.post state.1=0.1

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    return jnp.where(x >= 0, 1.0, 0.0).astype(x.dtype)


@spike.defjvp
def _spike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx * jnp.exp(-jnp.abs(x))


def plastic(state, x, a_plus=0.05, a_minus=0.04, tau=10.0):
    syn, v = state
    w, pre, post = syn["w"], syn["pre"], syn["post"]
    decay = jnp.exp(-1.0 / tau)
    v = 0.9 * v + jnp.matmul(x, w)
    z = spike(v - 1.0)
    pre, post = decay * pre + x, decay * post + z
    dw = a_plus * jnp.outer(pre, z) - a_minus * x[:, None] * post[None, :]
    w = jnp.clip(w + dw * w * (1 - w), 0.0, 1.0)
    return ({"w": w, "pre": pre, "post": post}, v * (1 - z)), z
