"""Style of spyx on Flax NNX: adaptive neuron, parameters in nnx.Param, read in three ways."""

import jax
import jax.numpy as jnp
from flax import nnx


@jax.custom_jvp
def spike(x):
    return jnp.where(x > 0, 1.0, 0.0)


@spike.defjvp
def _superspike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2


class ALIF(nnx.Module):
    def __init__(self, *, beta=0.9, gamma=0.8, surrogate=spike):
        self.beta = nnx.Param(jnp.array(beta))
        self.gamma = nnx.Param(jnp.array(gamma))
        self.threshold = nnx.Param(jnp.array(1.0))
        self.scale = 0.5
        self.surrogate = surrogate

    def __call__(self, x, state):
        v, t = state
        theta = self.threshold[...] + t
        spikes = self.surrogate(v - theta)
        v = self.beta * v + x - spikes * theta
        t = self.gamma.value * t + self.scale * (1.0 - self.gamma[...]) * spikes
        return spikes, (v, t)
