"""A network of Haiku and its loss, which takes the parameters of a transformed function.

gradgen examples/networks/haiku_network.py:loss \\
    --example examples/networks/haiku_network.py:arguments
"""
# gradgen: shape xs=(time, batch, n_in) labels=(batch,):int32
# gradgen: size time=50 batch=16

from __future__ import annotations

import haiku as hk
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


def forward(xs):
    """Logits (batch, classes) of spike trains (time, batch, n_in)."""
    init = hk.initializers.VarianceScaling(4.0, "fan_in", "normal")

    def step(v, x):
        v = 0.9 * v + x
        z = spike(v - 1.0)
        return v - z, z

    for number in range(2):
        drive = hk.Linear(32, with_bias=False, w_init=init, name=f"hidden_{number}")(xs)
        _, xs = jax.lax.scan(step, jnp.zeros_like(drive[0]), drive)
    return hk.Linear(2, name="out")(xs.mean(0))


network = hk.without_apply_rng(hk.transform(forward))


def loss(params, xs, labels):
    """The cross-entropy of a batch."""
    logits = jax.nn.log_softmax(network.apply(params, xs))
    return -jnp.mean(jnp.take_along_axis(logits, labels[:, None], axis=1))


def arguments():
    """The arguments of one call, for their structure and their shapes."""
    xs, labels = jnp.zeros((50, 16, 20)), jnp.zeros(16, jnp.int32)
    return network.init(jax.random.key(0), xs), xs, labels
