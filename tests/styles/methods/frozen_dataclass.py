"""Style of jaxsnn: frozen parameters, a method compiled with them static, a computed property."""

from dataclasses import dataclass
from functools import partial

import jax


# gradgen: wrt v, i, x, self.tau_mem_inv
# gradgen: next v=0, i=1
@dataclass(frozen=True)
class LIFParameters:
    tau_syn_inv: float = 200.0
    tau_mem_inv: float = 100.0
    v_th: float = 1.0
    dt: float = 0.001

    @property
    def decay(self):
        return 1.0 - self.dt * self.tau_mem_inv

    @partial(jax.jit, static_argnums=0)
    def step(self, v, i, x):
        v_next = self.decay * v + self.dt * self.tau_mem_inv * i
        z = jax.nn.sigmoid(10.0 * (v_next - self.v_th))
        return (1.0 - z) * v_next, i - self.dt * self.tau_syn_inv * i + x, z
