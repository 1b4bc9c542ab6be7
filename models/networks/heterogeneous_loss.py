"""Loss of a recurrent network whose neurons learn their time constants and thresholds.

Equations (one step, for every example of a batch):

    a  = exp(-1 / tau_v),  b = exp(-1 / tau_i)     tau = 1 + softplus(learned), for each neuron
    th = exp(learned)                              threshold of each neuron
    i' = b i + x W + z V + bias                    current
    v' = a v + (1 - a) i' - th z                   potential, reset by subtraction
    z' = spike((v' - th) / th)                     1 if the potential is above the threshold, else 0
    u' = c u + (1 - c) z' U                        potential of the readout, c = sigmoid(learned)

    loss = - mean over examples of log softmax(mean over time of u')[label]

Spikes have the surrogate derivative of an arc tangent, 1 / (1 + (pi x)^2), made of plain functions:
arctan(pi x) / pi is added, and its value taken away again with `stop_gradient`.

Units: everything is dimensionless; time constants are in steps.

References:
    Perez-Nieves, N., Leung, V. C. H., Dragotti, P. L., Goodman, D. F. M. (2021). Neural
    heterogeneity promotes robust learning. Nature Communications 12, 5791.
    doi:10.1038/s41467-021-26022-3
    Fang, W., Yu, Z., Chen, Y., Masquelier, T., Huang, T., Tian, Y. (2021). Incorporating learnable
    membrane time constant to enhance learning of spiking neural networks. IEEE/CVF International
    Conference on Computer Vision, 2661-2671. doi:10.1109/ICCV48922.2021.00266
"""

# gradgen: shape params.w=(n_in, n) params.v=(n, n) params.bias=(n,) params.u=(n, n_out)
# gradgen: shape params.tau_v=(n,) params.tau_i=(n,) params.threshold=(n,) params.leak=()
# gradgen: shape xs=(time, batch, n_in) labels=(batch,):int32
# gradgen: size time=100 batch=32 n_in=200 n=128 n_out=20

from typing import TypedDict

import jax
import jax.numpy as jnp


class Params(TypedDict):
    """Weights, and what time constants and thresholds are made of."""

    w: jax.Array
    v: jax.Array
    bias: jax.Array
    u: jax.Array
    tau_v: jax.Array
    tau_i: jax.Array
    threshold: jax.Array
    leak: jax.Array


def spike(x: jax.Array) -> jax.Array:
    """1 above threshold, else 0, with the derivative of an arc tangent."""
    soft = jnp.arctan(jnp.pi * x) / jnp.pi
    return jax.lax.stop_gradient((x > 0.0).astype(x.dtype) - soft) + soft


def heterogeneous_loss(params: Params, xs, labels):
    """The cross-entropy of a batch of spike trains xs with labels."""
    batch = xs.shape[1]
    alpha = jnp.exp(-1.0 / (1.0 + jax.nn.softplus(params["tau_v"])))
    beta = jnp.exp(-1.0 / (1.0 + jax.nn.softplus(params["tau_i"])))
    gamma = jax.nn.sigmoid(params["leak"])
    threshold = jnp.exp(params["threshold"])
    zero = jnp.zeros((batch, params["v"].shape[0]), xs.dtype)

    def step(state, x):
        i, v, z, u = state
        i = beta * i + x @ params["w"] + z @ params["v"] + params["bias"]
        v = alpha * v + (1.0 - alpha) * i - threshold * z
        z = spike((v - threshold) / threshold)
        u = gamma * u + (1.0 - gamma) * (z @ params["u"])
        return (i, v, z, u), u

    readout = jnp.zeros((batch, params["u"].shape[1]), xs.dtype)
    _, us = jax.lax.scan(step, (zero, zero, zero, readout), xs)
    log_p = jax.nn.log_softmax(us.mean(axis=0))
    return -jnp.mean(log_p[jnp.arange(batch), labels])
