"""Style of snnax: an Equinox module with trainable decays, its constructor its own."""

import equinox as eqx
import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    return jnp.where(x > 0, 1.0, 0.0)


@spike.defjvp
def _superspike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2


class LIF(eqx.Module):
    decays: jax.Array
    threshold: float = eqx.field(static=True)
    reset: float
    activation: object = eqx.field(static=True)

    def __init__(self, decay=0.9, threshold=1.0, activation=spike):
        self.decays = jnp.asarray(decay)
        self.threshold = threshold
        self.reset = 0.3
        self.activation = activation

    def __call__(self, state, synaptic_input, *, key=None):
        """One step: (potential, spike) are the state."""
        v, z = state
        alpha = jnp.clip(self.decays, 0.5, 1.0)
        v = alpha * v + (1.0 - alpha) * synaptic_input - jax.lax.stop_gradient(z) * self.reset
        z = self.activation(v - self.threshold)
        return (v, z), z
