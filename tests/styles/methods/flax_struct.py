"""A flax.struct dataclass with parameters, some of them no leaves, and a method."""

import jax
from flax import struct


# gradgen: wrt self.tau, self.a, v, w, x
@struct.dataclass
class Parameters:
    tau: float = 10.0
    a: float = 0.5
    exponent: float = struct.field(pytree_node=False, default=2.0)

    def update(self, v, w, x):
        v = v + (v**self.exponent - w + x - v) / self.tau
        return v, w + self.a * (v - w) / self.tau, jax.nn.sigmoid(4.0 * (v - 1.0))
