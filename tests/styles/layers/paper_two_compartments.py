"""Soma and branches: each branch has inputs of its own, the soma takes what the branches give."""

# gradgen: example state={soma, dend} params={w, c, tau}
# gradgen: shape state.soma=(b, n) state.dend=(b, n, k) x=(b, m) params.w=(m, n, k) params.c=(n, k)
# gradgen: shape params.tau=(n, k)
# gradgen: range params.tau=2:20

import jax
import jax.numpy as jnp


@jax.custom_vjp
def spike(x):
    return (x > 0).astype(x.dtype)


spike.defvjp(
    lambda x: ((x > 0).astype(x.dtype), jnp.abs(x)),
    lambda a, g: (jnp.where(a < 1, (1 - a) * g, 0.0),),
)


def two_compartments(state, x, params):
    soma, dend = state["soma"], state["dend"]
    decay = jnp.exp(-1.0 / params["tau"])
    drive = jnp.einsum("bm,mnk->bnk", x, params["w"])
    dend = decay * dend + (1 - decay) * drive + 0.05 * (soma[..., None] - dend)
    plateau = jax.nn.sigmoid(4.0 * (dend - 0.5))
    gate = jax.nn.softmax(params["c"], axis=-1)
    soma = 0.9 * soma + jnp.einsum("bnk,nk->bn", plateau * dend, gate)
    z = spike(soma - 0.3)
    return {"soma": soma - 0.3 * z, "dend": dend}, z
