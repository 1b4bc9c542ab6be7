"""A Flax linen module without variables: its fields are its parameters."""

import flax.linen as nn
import jax.numpy as jnp


# gradgen: wrt self.tau, carry, inputs
# gradgen: next carry=0
class LeakyIntegrator(nn.Module):
    tau: float = 0.9
    gain: float = 2.0

    def __call__(self, carry, inputs):
        v = self.tau * carry + (1.0 - self.tau) * inputs
        return v, jnp.tanh(self.gain * v)
