"""After Zhou et al. 2023: spiking self-attention with heads, without a softmax, scaled."""

# gradgen: example params={q, k, v, o} state={q, k, v}
# gradgen: shape params.q=(8, 8) params.k=(8, 8) params.v=(8, 8) params.o=(8, 8) x=(b, t, 8)
# gradgen: shape state.q=(b, t, 8) state.k=(b, t, 8) state.v=(b, t, 8)

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _spike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx * 4.0 * jax.nn.sigmoid(4 * x) * (1.0 - jax.nn.sigmoid(4 * x))


def attention(params, state, x):
    b, t, d = x.shape
    state = {n: 0.5 * state[n] + x @ params[n] for n in ("q", "k", "v")}
    z = {n: spike(u - 0.5) for n, u in state.items()}
    q, k, v = (z[n].reshape(b, t, 2, d // 2).swapaxes(1, 2) for n in ("q", "k", "v"))
    scores = jnp.matmul(q, k.transpose(0, 1, 3, 2)) * 0.25
    mixed = jnp.matmul(scores, v).swapaxes(1, 2).reshape(b, t, d)
    state = {n: u * (1.0 - z[n]) for n, u in state.items()}
    return spike(mixed @ params["o"] - 0.5), state
