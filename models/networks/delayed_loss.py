"""Loss of a recurrent classifier of spoken digits (SHD) whose recurrent spikes travel with delays.

Equations (one step, for every example of a batch):

    z~_j = z_j of d_j steps ago                    the spike that arrives, from 1 to D steps old
    v'   = a v + (1 - a) (x W + z~ V - w - z)      potential, reset by subtraction
    w'   = r w + k v + q z                         adaptation current
    z'   = spike(v' - 1)                           1 if the potential is above the threshold, else 0
    u'   = a_u u + (1 - a_u) z' U                  potential of the readout

    loss = - mean over examples of log softmax(sum over time of softmax(u'))[label]

The last D spikes of every neuron are in a buffer that moves on by one place in each step; d is a
number of steps for each neuron, which is not learned. Spikes have the surrogate derivative of a
box, 1/2 where |x| < 1 and else 0, by a rule for cotangents.

Units: everything is dimensionless; a, r and a_u are fractions; delays are in steps.

References:
    Cramer, B., Stradmann, Y., Schemmel, J., Zenke, F. (2022). The Heidelberg spiking data sets for
    the systematic evaluation of spiking neural networks. IEEE Transactions on Neural Networks and
    Learning Systems 33(7), 2744-2757. doi:10.1109/TNNLS.2020.3044364
    Bittar, A., Garner, P. N. (2022). A surrogate gradient spiking baseline for speech command
    recognition. Frontiers in Neuroscience 16, 865897. doi:10.3389/fnins.2022.865897
    Hammouamri, I., Khalfaoui-Hassani, I., Masquelier, T. (2024). Learning delays in spiking neural
    networks using dilated convolutions with learnable spacings. International Conference on
    Learning Representations. doi:10.48550/arXiv.2306.17670
"""

# gradgen: shape params.w=(n_in, n) params.v=(n, n) params.u=(n, n_out)
# gradgen: shape xs=(time, batch, n_in) labels=(batch,):int32 delays=(n,):int32
# gradgen: size time=100 batch=32 n_in=700 n=256 n_out=20

from typing import NamedTuple

import jax
import jax.numpy as jnp

LONGEST = 5
"""Of the delays, in steps."""


class Weights(NamedTuple):
    """Of the inputs w, of the recurrence v and of the readout u."""

    w: jax.Array
    v: jax.Array
    u: jax.Array


@jax.custom_vjp
def spike(x: jax.Array) -> jax.Array:
    """1 above threshold, else 0."""
    return (x > 0.0).astype(x.dtype)


def _spike_fwd(x):
    return spike(x), x


def _spike_bwd(x, g):
    return (jnp.where(jnp.abs(x) < 1.0, 0.5 * g, 0.0),)


spike.defvjp(_spike_fwd, _spike_bwd)


def delayed_loss(
    params: Weights, xs, labels, delays, alpha=0.9, rho=0.97, k=0.05, q=0.5, alpha_out=0.9
):
    """The cross-entropy of a batch of spike trains xs with labels."""
    batch, n = xs.shape[1], params.v.shape[0]
    zero = jnp.zeros((batch, n), xs.dtype)
    places = jnp.clip(delays - 1, 0, LONGEST - 1)[None, None, :]

    def step(state, x):
        v, w, buffer, u, total = state
        arriving = jnp.take_along_axis(buffer, places, axis=0)[0]
        current = x @ params.w + arriving @ params.v
        v_new = alpha * v + (1.0 - alpha) * (current - w - buffer[0])
        w = rho * w + k * v + q * buffer[0]
        z = spike(v_new - 1.0)
        u = alpha_out * u + (1.0 - alpha_out) * (z @ params.u)
        buffer = jnp.concatenate([z[None], buffer[:-1]])
        return (v_new, w, buffer, u, total + jax.nn.softmax(u)), None

    readout = jnp.zeros((batch, params.u.shape[1]), xs.dtype)
    buffer = jnp.zeros((LONGEST, batch, n), xs.dtype)
    state, _ = jax.lax.scan(step, (zero, zero, buffer, readout, readout), xs)
    log_p = jax.nn.log_softmax(state[-1])
    return -jnp.mean(jnp.take_along_axis(log_p, labels[:, None], axis=1))
