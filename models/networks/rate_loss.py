"""Loss of two layers of spiking neurons whose rates are regularised, with the rates beside it.

Equations (one step of 1 ms, for every example of a batch, in each layer):

    i' = b i + s W                                 current, from the spikes s of the layer below
    v' = (a v + i') (1 - z)                        potential, set to zero after a spike
    z' = spike(v' - 1)                             1 if the potential is above the threshold, else 0

    r    = mean over time and examples of z'       rate of each neuron of the first layer
    loss = cross-entropy of the maximum over time of u' with the label
           + l1 sum(r) + l2 mean over examples of sum(max(0, number of spikes - most)^2)

with u' a leaky readout of the spikes of the second layer. It returns (loss, aux), for
`jax.value_and_grad(..., has_aux=True)`; aux has the rates and which examples were right.

The spike is a straight-through estimator: its derivative is that of a sigmoid of 4 x, and the value
is put in with `stop_gradient`.

Units: everything is dimensionless; a, b and c are fractions.

References:
    Zenke, F., Vogels, T. P. (2021). The remarkable robustness of surrogate gradient learning for
    instilling complex function in spiking neural networks. Neural Computation 33(4), 899-925.
    doi:10.1162/neco_a_01367
    Bengio, Y., Leonard, N., Courville, A. (2013). Estimating or propagating gradients through
    stochastic neurons for conditional computation. arXiv:1308.3432. doi:10.48550/arXiv.1308.3432
"""

# gradgen: shape params.w1=(n_in, n) params.w2=(n, n) params.out=(n, n_out)
# gradgen: shape xs=(time, batch, n_in) labels=(batch,):int32
# gradgen: size time=100 batch=32 n_in=128 n=256 n_out=10
# gradgen: wrt params

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Weights(NamedTuple):
    """Of the two layers and of the readout."""

    w1: jax.Array
    w2: jax.Array
    out: jax.Array


def spike(x: jax.Array) -> jax.Array:
    """1 above threshold, else 0, with the derivative of a sigmoid."""
    soft = jax.nn.sigmoid(4.0 * x)
    hard = jnp.where(x > 0.0, 1.0, 0.0)
    return soft + jax.lax.stop_gradient(hard - soft)


def _layer(state, current, alpha, beta):
    v, i, z = state
    i = beta * i + current
    v = (alpha * v + i) * (1.0 - z)
    return v, i, spike(v - 1.0)


def rate_loss(
    params: Weights, xs, labels, alpha=0.95, beta=0.85, gamma=0.9, l1=0.02, l2=0.001, most=10.0
):
    """The regularised cross-entropy of a batch of spike trains xs, and what is to be shown."""
    batch = xs.shape[1]
    zero = jnp.zeros((batch, params.w2.shape[0]), xs.dtype)

    def step(state, x):
        first, second, u = state
        first = _layer(first, x @ params.w1, alpha, beta)
        second = _layer(second, first[2] @ params.w2, alpha, beta)
        u = gamma * u + second[2] @ params.out
        return (first, second, u), (u, first[2], second[2])

    readout = jnp.zeros((batch, params.out.shape[1]), xs.dtype)
    _, (us, z1, z2) = jax.lax.scan(step, ((zero,) * 3, (zero,) * 3, readout), xs)
    logits = us.max(axis=0)
    log_p = jax.nn.log_softmax(logits)
    entropy = -jnp.mean(log_p[jnp.arange(batch), labels])
    rates = z1.mean(axis=(0, 1))
    excess = jnp.maximum(z2.sum(axis=0) - most, 0.0)
    loss = entropy + l1 * rates.sum() + l2 * jnp.mean(jnp.sum(excess**2, axis=1))
    aux = {"rates": rates, "right": jnp.argmax(logits, axis=1) == labels}
    return loss, aux
