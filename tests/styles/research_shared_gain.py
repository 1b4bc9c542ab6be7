"""Plain research code: keyword-only default, shadowed names, a closure, output used twice."""

import jax
import jax.numpy as jnp


def make_spike(width):
    @jax.custom_jvp
    def fire(u):
        return jnp.asarray(u > 0, u.dtype)

    @fire.defjvp
    def fire_jvp(primals, tangents):
        (u,), (du,) = primals, tangents
        s = jax.nn.sigmoid(u / width)
        return fire(u), s * (1 - s) / width * du

    return fire


def neuron(weights, state, pre, *, gain=1.5):
    """Two weighted inputs onto a LIF neuron; the weights are a tuple and are differentiated."""
    w_exc, w_inh = weights
    exc, inh = pre
    drive = gain * (w_exc * exc - w_inh * inh)
    v = state["v"] * 0.9 + drive
    v = v / (1 + v * v)
    z = make_spike(0.2)(v - state["theta"])
    theta = state["theta"] + 0.05 * (z - 0.1)
    return {"v": v - z * v, "theta": theta}, (z, z * gain)
