"""Style of spyx: recurrent current-based LIF; the state is one array that is split and joined."""

# gradgen: shape x=(batch, n) VI=(batch, 2*n) w=(n, n) alpha=(n,) beta=(n,)
# gradgen: next VI=1
# gradgen: range alpha=0:1 beta=0:1

import jax
import jax.numpy as jnp


@jax.custom_jvp
def triangular(x):
    return jnp.where(x > 0, 1.0, 0.0).astype(x.dtype)


@triangular.defjvp
def _triangular(primals, tangents):
    (x,), (x_dot,) = primals, tangents
    return triangular(x), jnp.maximum(0.0, 1.0 - 0.5 * jnp.abs(x)) * x_dot


def rcuba(x, VI, w, alpha, beta, threshold=1.0):
    V, I = jnp.split(VI, 2, axis=-1)
    spikes = triangular(V - threshold)
    feedback = spikes @ w
    I = jnp.clip(alpha, 0, 1) * I + x + feedback
    V = jnp.clip(beta, 0, 1) * V + I - spikes * threshold
    return spikes, jnp.concatenate([V, I], axis=-1)
