"""Loss of a small convolutional spiking network that classifies event streams, over time.

Equations (one step, for every example of a batch):

    v1' = v1 (1 - z1) + (x * K1 + b1 - v1 (1 - z1)) / tau      first layer, * is a convolution
    z1' = spike(v1' - 1)
    p1  = pool(z1')                                            maximum of two by two pixels
    v2' = v2 (1 - z2) + (p1 * K2 + b2 - v2 (1 - z2)) / tau     second layer
    z2' = spike(v2' - 1)
    y   = pool(z2') U                                          votes for each class

    loss = mean over examples of |mean over time of y - one-hot of the label|^2

Spikes have the surrogate derivative of an arc tangent, 1 / (1 + (pi x)^2), by a rule for
cotangents.

Units: everything is dimensionless; tau is in steps; frames are (channels, height, width).

References:
    Fang, W., Yu, Z., Chen, Y., Masquelier, T., Huang, T., Tian, Y. (2021). Incorporating learnable
    membrane time constant to enhance learning of spiking neural networks. IEEE/CVF International
    Conference on Computer Vision, 2661-2671. doi:10.1109/ICCV48922.2021.00266
    Amir, A., et al. (2017). A low power, fully event-based gesture recognition system. IEEE
    Conference on Computer Vision and Pattern Recognition, 7388-7397. doi:10.1109/CVPR.2017.781
"""

# gradgen: shape params.k1=(c, 2, 3, 3) params.b1=(c,) params.k2=(c, c, 3, 3) params.b2=(c,)
# gradgen: shape params.out=(c, h, h, n_out) xs=(time, batch, 2, 4*h, 4*h) labels=(batch,):int32
# gradgen: size time=20 batch=8 c=8 h=4 n_out=11

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Weights(NamedTuple):
    """Kernels and biases of the two layers, and weights of the readout."""

    k1: jax.Array
    b1: jax.Array
    k2: jax.Array
    b2: jax.Array
    out: jax.Array


@jax.custom_vjp
def spike(x: jax.Array) -> jax.Array:
    """1 above threshold, else 0."""
    return (x > 0.0).astype(x.dtype)


def _spike_fwd(x):
    return spike(x), x


def _spike_bwd(x, g):
    return (g / (1.0 + (jnp.pi * x) ** 2),)


spike.defvjp(_spike_fwd, _spike_bwd)


def _convolved(x, kernel, bias):
    return jax.lax.conv(x, kernel, (1, 1), "SAME") + bias[:, None, None]


def _neurons(v, z, current, tau):
    v = v * (1.0 - z)
    v = v + (current - v) / tau
    return v, spike(v - 1.0)


def _pooled(z):
    window = (1, 1, 2, 2)
    return jax.lax.reduce_window(z, -jnp.inf, jax.lax.max, window, window, "VALID")


def convolutional_loss(params: Weights, xs, labels, tau=2.0):
    """The squared error of the votes of a batch of event streams xs with labels."""
    batch, c = xs.shape[1], params.b1.shape[0]
    first = jnp.zeros((batch, c, *xs.shape[3:]), xs.dtype)
    second = jnp.zeros((batch, c, xs.shape[3] // 2, xs.shape[4] // 2), xs.dtype)

    def step(state, x):
        v1, z1, v2, z2 = state
        v1, z1 = _neurons(v1, z1, _convolved(x, params.k1, params.b1), tau)
        v2, z2 = _neurons(v2, z2, _convolved(_pooled(z1), params.k2, params.b2), tau)
        votes = jnp.einsum("bchw,chwo->bo", _pooled(z2), params.out)
        return (v1, z1, v2, z2), votes

    _, votes = jax.lax.scan(step, (first, first, second, second), xs)
    targets = jax.nn.one_hot(labels, params.out.shape[-1], dtype=xs.dtype)
    return jnp.mean(jnp.sum((votes.mean(axis=0) - targets) ** 2, axis=-1))
