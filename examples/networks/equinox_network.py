"""A network of Equinox and its loss, which takes the module itself.

gradgen examples/networks/equinox_network.py:loss \\
    --example examples/networks/equinox_network.py:arguments
"""
# gradgen: shape xs=(time, batch, n_in) labels=(batch,):int32
# gradgen: size time=50 batch=16

from __future__ import annotations

import equinox as eqx
import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    """A spike where the threshold is reached."""
    return (x > 0.0).astype(x.dtype)


@spike.defjvp
def _spike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2


class Layer(eqx.Module):
    """Leaky neurons."""

    weight: jax.Array
    decay: float = eqx.field(static=True)

    def __init__(self, n_in: int, n: int, key: jax.Array):
        self.weight = 2.0 / n_in**0.5 * jax.random.normal(key, (n_in, n))
        self.decay = 0.9

    def __call__(self, xs: jax.Array) -> jax.Array:
        """Spikes (time, batch, n) of spikes (time, batch, n_in)."""

        def step(v, x):
            v = self.decay * v + x @ self.weight
            z = spike(v - 1.0)
            return v - z, z

        return jax.lax.scan(step, jnp.zeros((xs.shape[1], self.weight.shape[1])), xs)[1]


class Network(eqx.Module):
    """Two layers of neurons and a readout."""

    first: Layer
    second: Layer
    out: eqx.nn.Linear

    def __init__(self, key: jax.Array):
        keys = jax.random.split(key, 3)
        self.first, self.second = Layer(20, 32, keys[0]), Layer(32, 32, keys[1])
        self.out = eqx.nn.Linear(32, 2, key=keys[2])

    def __call__(self, xs: jax.Array) -> jax.Array:
        """Logits (batch, classes) of spike trains (time, batch, n_in)."""
        return jax.vmap(self.out)(self.second(self.first(xs)).mean(0))


def loss(network, xs, labels):
    """The cross-entropy of a batch."""
    logits = jax.nn.log_softmax(network(xs))
    return -jnp.mean(jnp.take_along_axis(logits, labels[:, None], axis=1))


def arguments():
    """The arguments of one call, for their structure and their shapes."""
    return Network(jax.random.key(0)), jnp.zeros((50, 16, 20)), jnp.zeros(16, jnp.int32)
