"""Plain research code: a gated rate unit out of jax.nn, state in a tuple through a helper."""

import jax
import jax.numpy as jnp
from jax import nn


def unpack(state):
    h, slow = state
    return h, slow


def mix(gate, new, old):
    return gate * new + (1 - gate) * old


def gated_unit(state, x):
    """Rate unit with a fast and a slow part and a handful of jax.nn activations."""
    h, slow = unpack(state)
    gate = nn.sigmoid(2 * x - h)
    candidate = nn.gelu(x + 0.5 * h) + 0.1 * nn.softplus(slow)
    h = mix(gate, candidate, h)
    slow = mix(0.95, slow, nn.relu(h) - 0.1 * nn.silu(x))
    readout = jnp.log1p(jnp.square(h)) + nn.elu(slow) * jax.lax.rsqrt(1 + x * x)
    return (h, slow), readout
