"""Loss of a leaky readout at every step, over time: the cross-entropy is integrated.

Equations (one step of 1 ms, for every example of a batch):

    i' = b i + x W                                 current of the hidden layer
    v' = a v + (1 - a) i' - z                      its potential, reset by subtraction
    z' = spike(v' - 1)                             1 if the potential is above the threshold, else 0
    u' = c u + z' U + bias                         potential of the readout, which does not spike

    loss = - mean over time and examples of log softmax(u')[label]

As in snnTorch and Spyx, the loss of each step counts, so that the readout is to be right early. The
reset is detached: it is not differentiated. Spikes have the surrogate derivative of a fast sigmoid,
1 / (1 + 25 |x|)^2.

Units: everything is dimensionless; a, b and c are fractions.

References:
    Eshraghian, J. K., Ward, M., Neftci, E. O., et al. (2023). Training spiking neural networks
    using lessons from deep learning. Proceedings of the IEEE 111(9), 1016-1054.
    doi:10.1109/JPROC.2023.3308088
    Heckel, K. M., Nowotny, T. (2024). Spyx: a library for just-in-time compiled optimization of
    spiking neural networks. arXiv:2402.18994. doi:10.48550/arXiv.2402.18994
"""

# gradgen: shape params.w=(n_in, n) params.u=(n, n_out) params.bias=(n_out,)
# gradgen: shape xs=(batch, time, n_in) labels=(batch,):int32
# gradgen: size time=100 batch=32 n_in=128 n=256 n_out=20

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Weights(NamedTuple):
    """Of the inputs w, of the readout u and its bias."""

    w: jax.Array
    u: jax.Array
    bias: jax.Array


@jax.custom_jvp
def spike(x: jax.Array) -> jax.Array:
    """1 above threshold, else 0."""
    return (x > 0.0).astype(x.dtype)


@spike.defjvp
def _fast_sigmoid(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (1.0 + 25.0 * jnp.abs(x)) ** 2


def stepwise_loss(params: Weights, xs, labels, alpha=0.95, beta=0.9, gamma=0.9):
    """The cross-entropy of all steps of a batch of spike trains xs with labels."""
    batch = xs.shape[0]
    hidden = jnp.zeros((batch, params.w.shape[1]), xs.dtype)
    readout = jnp.zeros((batch, params.u.shape[1]), xs.dtype)

    def step(state, x):
        i, v, z, u = state
        i = beta * i + x @ params.w
        v = alpha * v + (1.0 - alpha) * i - jax.lax.stop_gradient(z)
        z = spike(v - 1.0)
        u = gamma * u + z @ params.u + params.bias
        return (i, v, z, u), u

    state = hidden, hidden, hidden, readout
    _, potentials = jax.lax.scan(step, state, jnp.swapaxes(xs, 0, 1))
    targets = jax.nn.one_hot(labels, params.u.shape[1], dtype=xs.dtype)
    return -jnp.mean(jnp.sum(targets * jax.nn.log_softmax(potentials, axis=-1), axis=-1))
