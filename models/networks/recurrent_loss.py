"""Loss of a recurrent network of adaptive neurons that classifies spike trains (LSNN), over time.

Equations (one step of 1 ms, for every example of a batch):

    i' = b i + x W + z V                       current
    v' = a v (1 - z) + (1 - a) i'              potential, reset by a spike
    q' = r q + (1 - r) z                       adaptation
    z' = spike(v' - 1 - k q')                  1 if the potential is above the threshold, else 0

    loss = - mean over examples of log softmax(sum over time of z' U / steps)[label]

with a, b and r the decays of potential, current and adaptation in one step, and k how much
adaptation raises the threshold.

Surrogate derivative of the spike: d spike(x) / dx := 1 / (10 |x| + 1)^2.

Units: everything is dimensionless; a, b and r are fractions.

References:
    Bellec, G., Salaj, D., Subramoney, A., Legenstein, R., Maass, W. (2018). Long short-term memory
    and learning-to-learn in networks of spiking neurons. Advances in Neural Information Processing
    Systems 31, 787-797. doi:10.48550/arXiv.1803.09574
    Zenke, F., Ganguli, S. (2018). SuperSpike: supervised learning in multilayer spiking neural
    networks. Neural Computation 30, 1514-1541. doi:10.1162/neco_a_01086
"""

# gradgen: shape params.w=(n_in, n) params.v=(n, n) params.u=(n, n_out)
# gradgen: shape xs=(time, batch, n_in) labels=(batch,):int32
# gradgen: size time=100 batch=32 n_in=700 n=256 n_out=20

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Weights(NamedTuple):
    """Of the inputs w, of the recurrence v and of the readout u."""

    w: jax.Array
    v: jax.Array
    u: jax.Array


@jax.custom_jvp
def spike(x: jax.Array) -> jax.Array:
    """1 above threshold, else 0."""
    return (x > 0.0).astype(x.dtype)


@spike.defjvp
def _superspike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2


def recurrent_loss(params: Weights, xs, labels, alpha=0.95, beta=0.9, rho=0.97, k=0.1):
    """The cross-entropy of a batch of spike trains xs with labels."""
    batch = xs.shape[1]
    zero = jnp.zeros((batch, params.v.shape[0]), xs.dtype)

    def step(state, x):
        v, i, q, z, total = state
        i = beta * i + x @ params.w + z @ params.v
        v = alpha * v * (1.0 - z) + (1.0 - alpha) * i
        q = rho * q + (1.0 - rho) * z
        z = spike(v - 1.0 - k * q)
        return (v, i, q, z, total + z @ params.u), None

    readout = jnp.zeros((batch, params.u.shape[1]), xs.dtype)
    state, _ = jax.lax.scan(step, (zero, zero, zero, zero, readout), xs)
    logits = state[-1] / xs.shape[0]
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(batch), labels])
