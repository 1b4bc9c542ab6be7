"""A network of Flax NNX and its loss, which takes the state that `nnx.split` returns.

gradgen examples/networks/nnx_network.py:loss \\
    --example examples/networks/nnx_network.py:arguments
"""
# gradgen: shape xs=(time, batch, n_in) labels=(batch,):int32
# gradgen: size time=50 batch=16

from __future__ import annotations

from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx


@jax.custom_jvp
def spike(x):
    """A spike where the threshold is reached."""
    return (x > 0.0).astype(x.dtype)


@spike.defjvp
def _spike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2


class Network(nnx.Module):
    """Layers of leaky neurons, and a readout of them."""

    def __init__(self, sizes: tuple[int, ...], classes: int, rngs: nnx.Rngs):
        init = nnx.initializers.variance_scaling(4.0, "fan_in", "normal")
        self.hidden = nnx.List(
            nnx.Linear(n_in, n, use_bias=False, kernel_init=init, rngs=rngs)
            for n_in, n in pairwise(sizes)
        )
        self.out = nnx.Linear(sizes[-1], classes, rngs=rngs)

    def __call__(self, xs: jax.Array) -> jax.Array:
        """Logits (batch, classes) of spike trains (time, batch, n_in)."""

        def step(state, x):
            potentials, logits = [], state[1]
            for layer, v in zip(self.hidden, state[0], strict=True):
                v = 0.9 * v + layer(x)
                x = spike(v - 1.0)
                potentials.append(v - x)
            return (tuple(potentials), logits + self.out(x)), None

        batch = xs.shape[1]
        rest = tuple(jnp.zeros((batch, layer.out_features)) for layer in self.hidden)
        (_, logits), _ = jax.lax.scan(step, (rest, jnp.zeros((batch, self.out.out_features))), xs)
        return logits / xs.shape[0]


graphdef, initial = nnx.split(Network((20, 32, 32), 2, nnx.Rngs(0)))
"""What the network is, and its parameters to begin with."""


def loss(state, xs, labels):
    """The cross-entropy of a batch."""
    logits = jax.nn.log_softmax(nnx.merge(graphdef, state)(xs))
    return -jnp.mean(jnp.take_along_axis(logits, labels[:, None], axis=1))


def arguments():
    """The arguments of one call, for their structure and their shapes."""
    return initial, jnp.zeros((50, 16, 20)), jnp.zeros(16, jnp.int32)
