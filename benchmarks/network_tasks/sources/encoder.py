"""Two blocks of a transformer's encoder with one head each, and a cross-entropy for each row."""

# gradgen: shape x=(4, 4) y=(2, 4) q1=(4, 4) q2=(4, 4) k1=(4, 4) k2=(4, 4) v1=(4, 4) v2=(4, 4)
# gradgen: shape w1=(4, 4) w2=(2, 4) b1=(4,) b2=(2, 1)
# gradgen: wrt x, y, q1, q2, k1, k2, v1, v2, w1, w2, b1, b2, scale1, shift1, scale2, shift2
import jax.numpy as jnp
from jax import lax


def _normalised(x, scale, shift):
    mean = x.sum(-1) / x.shape[-1]
    variance = jnp.sum((x - mean) ** 2, axis=-1) / x.shape[-1]
    return (x - mean) / jnp.sqrt(variance + 1e-6) * scale + shift


def _softmax(x):
    grown = jnp.exp(x - lax.stop_gradient(jnp.max(x, axis=-1, keepdims=True)))
    return grown / jnp.sum(grown, axis=-1, keepdims=True)


def _block(x, q, k, v, w, b, scale, shift):
    queries, keys, values = q @ x, k @ x, v @ x
    attended = x + _softmax(queries.T @ keys) @ values
    z = w @ _normalised(attended, scale, shift) + b
    return z * (1.0 / (1.0 + jnp.exp(-z)))


def encoder(x, y, q1, q2, k1, k2, v1, v2, w1, w2, b1, b2, scale1, shift1, scale2, shift2):
    """Compare what the two blocks make of x with y, row by row."""
    between = _block(x, q1, k1, v1, w1, b1, scale1, shift1)
    logits = _block(between, q2, k2, v2, w2, b2, scale2, shift2)
    return -jnp.sum(y * jnp.log(_softmax(logits)), axis=-1)
