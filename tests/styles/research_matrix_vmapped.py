"""Plain research code: array state per neuron with @, meant to be vmapped over the neurons."""

import jax.numpy as jnp


def kick(v, w, current):
    """Two coupled compartments: a matrix-vector product written with @ on a concatenated state."""
    coupling = jnp.asarray([[0.9, 0.08], [0.05, 0.93]], jnp.result_type(v, w, current))
    state = jnp.concatenate([jnp.atleast_1d(v), jnp.atleast_1d(w)])
    drive = jnp.array([1.0, 0.0], state.dtype) * current
    soma, dendrite = jnp.tanh(coupling @ state + 0.1 * drive)
    return soma, dendrite
