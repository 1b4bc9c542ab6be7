"""Loss of a layer that learns precisely timed spikes: the van Rossum distance, over time.

Equations (one step of 1 ms, for every example of a batch):

    i' = b i + x W + z V                           current
    v' = (a v + (1 - a) i') (1 - z)                potential, set to zero after a spike
    z' = spike(v' - 1)                             1 if the potential is above the threshold, else 0
    e' = c e + (z' - target)                       difference of the filtered spike trains

    loss = 1/2 mean over time and examples of the sum over neurons of (e')^2

with e the difference of the two spike trains, each filtered with an exponential: what is filtered
is the difference, since the filter is linear. Spikes have the surrogate derivative
1 / (10 |x| + 1)^2.

Units: everything is dimensionless; a, b and c are fractions.

References:
    Rossum, M. C. W. van (2001). A novel spike distance. Neural Computation 13(4), 751-763.
    doi:10.1162/089976601300014321
    Zenke, F., Ganguli, S. (2018). SuperSpike: supervised learning in multilayer spiking neural
    networks. Neural Computation 30, 1514-1541. doi:10.1162/neco_a_01086
"""

# gradgen: shape params.w=(n_in, n) params.v=(n, n)
# gradgen: shape xs=(time, batch, n_in) targets=(time, batch, n)
# gradgen: size time=250 batch=8 n_in=100 n=100

from typing import NamedTuple

import jax
import jax.numpy as jnp


class Weights(NamedTuple):
    """Of the inputs w and of the recurrence v."""

    w: jax.Array
    v: jax.Array


@jax.custom_jvp
def spike(x: jax.Array) -> jax.Array:
    """1 above threshold, else 0."""
    return (x > 0.0).astype(x.dtype)


@spike.defjvp
def _superspike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2


def van_rossum_loss(params: Weights, xs, targets, alpha=0.95, beta=0.9, gamma=0.93):
    """Half the squared distance of the spikes for inputs xs and those of the targets."""
    zero = jnp.zeros(targets.shape[1:], xs.dtype)

    def step(state, inputs):
        i, v, z, e = state
        x, target = inputs
        i = beta * i + x @ params.w + z @ params.v
        v = (alpha * v + (1.0 - alpha) * i) * (1.0 - z)
        z = spike(v - 1.0)
        e = gamma * e + (z - target)
        return (i, v, z, e), 0.5 * jnp.sum(e**2, axis=-1).mean()

    _, distances = jax.lax.scan(step, (zero,) * 4, (xs, targets))
    return distances.mean()
