"""A dataclass that computes decays once it has its fields, and inherits its step."""

import dataclasses

import jax.numpy as jnp


class Cell:
    def evolve(self, state, x):
        i, v = state
        i = self.alpha * i + x
        v = self.beta * v + i * (1.0 - self.beta)
        return (i, v), jnp.maximum(v - self.bias, 0.0)


# gradgen: wrt state, x, self.beta
@dataclasses.dataclass
class Exponential(Cell):
    tau_syn: float = 5.0
    tau_mem: float = 20.0
    bias: float = 0.25

    def __post_init__(self):
        self.alpha = jnp.exp(-1.0 / self.tau_syn)
        self.beta = jnp.exp(-1.0 / self.tau_mem)
