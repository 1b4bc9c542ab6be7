"""Loss of two layers of leaky integrate-and-fire neurons that classify spike trains, over time.

Equations (one step of 1 ms, for every example of a batch, in each layer):

    i' = b i + s W                             current, from the spikes s of the layer below
    v' = a v (1 - z) + (1 - a) i'              potential, reset by a spike
    z' = spike(v' - 1)                         1 if the potential is above the threshold, else 0

    loss = - mean over examples of log softmax(sum over time of z' U / steps)[label]

with a and b the decays of potential and current in one step, and z' of the second layer.

Surrogate derivative of the spike: d spike(x) / dx := 1 / (10 |x| + 1)^2.

Units: everything is dimensionless; a and b are fractions.

References:
    Neftci, E. O., Mostafa, H., Zenke, F. (2019). Surrogate gradient learning in spiking neural
    networks. IEEE Signal Processing Magazine 36, 51-63. doi:10.1109/MSP.2019.2931595
    Zenke, F., Ganguli, S. (2018). SuperSpike: supervised learning in multilayer spiking neural
    networks. Neural Computation 30, 1514-1541. doi:10.1162/neco_a_01086
"""

# gradgen: shape params.first=(n_in, n) params.second=(n, n) params.out=(n, n_out)
# gradgen: shape xs=(time, batch, n_in) labels=(batch,):int32
# gradgen: size time=100 batch=32 n_in=700 n=256 n_out=20

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Weights(NamedTuple):
    """Of the two layers and of the readout."""

    first: jax.Array
    second: jax.Array
    out: jax.Array


@jax.custom_jvp
def spike(x: jax.Array) -> jax.Array:
    """1 above threshold, else 0."""
    return (x > 0.0).astype(x.dtype)


@spike.defjvp
def _superspike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2


def _layer(state, current, alpha, beta):
    v, i, z = state
    i = beta * i + current
    v = alpha * v * (1.0 - z) + (1.0 - alpha) * i
    return v, i, spike(v - 1.0)


def feedforward_loss(params: Weights, xs, labels, alpha=0.95, beta=0.9):
    """The cross-entropy of a batch of spike trains xs with labels."""
    batch = xs.shape[1]
    zero = jnp.zeros((batch, params.second.shape[0]), xs.dtype)

    def step(state, x):
        first, second, total = state
        first = _layer(first, x @ params.first, alpha, beta)
        second = _layer(second, first[2] @ params.second, alpha, beta)
        return (first, second, total + second[2] @ params.out), None

    readout = jnp.zeros((batch, params.out.shape[1]), xs.dtype)
    state, _ = jax.lax.scan(step, ((zero,) * 3, (zero,) * 3, readout), xs)
    logits = state[-1] / xs.shape[0]
    return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(batch), labels])
