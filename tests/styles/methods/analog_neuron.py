"""Style of Dynap-SE's simulators: a chex dataclass of currents, products and quotients of them."""

import chex
import jax
import jax.numpy as jnp


@chex.dataclass
class Currents:
    imem: float
    iahp: float
    iampa: float


# gradgen: wrt state, x, self.itau_mem, self.itau_ahp, self.igain_mem
# gradgen: range state=0.1:5 x=0:3
@chex.dataclass(frozen=True)
class AnalogNeuron:
    itau_mem: float = 1.5
    igain_mem: float = 2.0
    itau_ahp: float = 0.8
    igain_ahp: float = 1.2
    itau_ampa: float = 0.6
    igain_ampa: float = 1.1
    iw_ahp: float = 0.3
    iw_ampa: float = 0.9
    idc: float = 0.5
    io: float = 0.01
    ifeedback: float = 0.4
    spread: float = 0.7
    threshold: float = 3.0
    dt: float = 0.05

    def feedback(self, imem):
        return self.ifeedback * imem / (1.0 + jnp.exp((self.threshold - imem) / self.spread))

    def step(self, state: Currents, x):
        iahp = state.iahp + self.dt * (self.igain_ahp / self.itau_ahp - 1.0) * state.iahp
        iampa = state.iampa + self.dt * (self.iw_ampa * x * self.igain_ampa - state.iampa)
        iin = jnp.maximum(iampa + self.idc - iahp, self.io)
        forced = self.igain_mem / self.itau_mem * iin
        damping = self.itau_mem + iahp + self.io
        change = forced + self.feedback(state.imem) - damping * state.imem / self.itau_mem
        imem = state.imem + self.dt * change * state.imem / (state.imem + self.igain_mem)
        z = jax.nn.sigmoid(5.0 * (imem - self.threshold))
        return Currents(imem=imem, iahp=iahp + self.iw_ahp * z, iampa=iampa), z
