"""Layers of neurons whose traces need more than the presynaptic axis, learned online.

Adaptive neurons, conductances, gates of Hodgkin and Huxley and learned time constants, each as the
step of a neuron and of a layer with its weights: `benchmarks.online_layers` compares the traces of
the layer with `jax.grad` through time and with a trace a synapse and example, which moves on by
`jax.jvp` of the neuron.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    """Heaviside step of x, differentiated as 1 / (1 + 10 |x|)^2."""
    return (x > 0.0).astype(x.dtype)


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,) = primals
    (x_dot,) = tangents
    return spike(x), x_dot / (1.0 + 10.0 * jnp.abs(x)) ** 2


def adaptive(v, a, z, i):
    """A leaky neuron whose threshold grows with its spikes."""
    v = 0.95 * v + i
    a = 0.97 * a + 0.03 * z
    return v, a, spike(v - 1.0 - 0.3 * a)


def adaptive_layer(v, a, z, x, w):
    """Adaptive neurons."""
    # gradgen: shape v=(batch, n) a=(batch, n) z=(batch, n) x=(batch, m) w=(m, n)
    # gradgen: wrt v, a, z, w
    # gradgen: next v=0, a=1, z=2
    return adaptive(v, a, z, x @ w)


def conductance(v, g, i):
    """A leaky neuron with a conductance that decays, and no reset."""
    g = 0.9 * g + jnp.abs(i)
    v = v + 0.05 * (g * (2.0 - v) - v)
    return v, g, spike(v - 1.0)


def conductance_layer(v, g, x, w):
    """Neurons with conductances."""
    # gradgen: shape v=(batch, n) g=(batch, n) x=(batch, m) w=(m, n)
    # gradgen: wrt v, g, w
    # gradgen: next v=0, g=1
    return conductance(v, g, x @ w)


def gated(v, m, h, i):
    """Gates that open and close with the potential, scaled."""
    m_inf, h_inf = jax.nn.sigmoid(4.0 * v - 2.0), jax.nn.sigmoid(2.0 - 4.0 * v)
    current = 2.0 * m**3 * h * (1.5 - v) - 0.3 * v + i
    return v + 0.1 * current, m + 0.5 * (m_inf - m), h + 0.05 * (h_inf - h), spike(v - 0.8)


def gated_layer(v, m, h, x, w):
    """Gates of Hodgkin and Huxley."""
    # gradgen: shape v=(batch, n) m=(batch, n) h=(batch, n) x=(batch, k) w=(k, n)
    # gradgen: wrt v, m, h, w
    # gradgen: next v=0, m=1, h=2
    return gated(v, m, h, x @ w)


def timed(v, i, drive, tau):
    """A leaky neuron with a current, whose time constant is learned."""
    alpha = jnp.exp(-1.0 / (1.0 + tau**2))
    i = 0.9 * i + drive
    v = alpha * v + (1.0 - alpha) * i
    return v, i, spike(v - 1.0)


def timed_layer(v, i, x, w, tau):
    """Learned time constants."""
    # gradgen: shape v=(batch, n) i=(batch, n) x=(batch, m) w=(m, n) tau=(n,)
    # gradgen: wrt v, i, w, tau
    # gradgen: next v=0, i=1
    return timed(v, i, x @ w, tau)


NEURONS = {
    "adaptive_layer": (adaptive, 3),
    "conductance_layer": (conductance, 2),
    "gated_layer": (gated, 3),
    "timed_layer": (timed, 2),
}
"""For each layer its neuron, and how many of its arguments are the state."""
