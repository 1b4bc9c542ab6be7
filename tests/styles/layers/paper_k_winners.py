"""k winners take all: the k-th largest potential is the threshold of this step."""

# gradgen: shape v=(batch, 12) x=(batch, m) w=(m, 12)
# gradgen: next v=0

import jax
from jax import lax


@jax.custom_jvp
def above(x):
    return (x >= 0).astype(x.dtype)


@above.defjvp
def _above(primals, tangents):
    (x,), (dx,) = primals, tangents
    return above(x), dx * jax.nn.sigmoid(x) * (1 - jax.nn.sigmoid(x))


def k_winners(v, x, w):
    v = 0.8 * v + x @ w
    best, _ = lax.top_k(v, 3)
    z = above(v - best[:, -1:])
    return v - z * lax.stop_gradient(v), z
