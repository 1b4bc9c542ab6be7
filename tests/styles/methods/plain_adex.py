"""A plain class, as simulators have them: numbers, helpers, a mode that is a string."""

import jax
import jax.numpy as jnp


# gradgen: wrt state, current, self.tau_m, self.a
# gradgen: range state.v=-70:-50 state.w=0:3 current=0:10
class AdEx:
    def __init__(self, tau_m=20.0, tau_w=100.0, a=2.0, rest=-65.0, delta=2.0, dt=0.1, mode="soft"):
        self.tau_m, self.tau_w, self.a = tau_m, tau_w, a
        self.rest, self.delta, self.dt = rest, delta, dt
        self.mode, self.size, self.history = mode, 4, None
        self.threshold = -50.0

    def drive(self, v, w, current):
        spiking = self.delta * jnp.exp((v - self.threshold) / self.delta)
        return -(v - self.rest) + spiking - w + current

    def step(self, state, current):
        v, w = state["v"], state["w"]
        v_next = v + self.dt / self.tau_m * self.drive(v, w, current)
        w_next = w + self.dt / self.tau_w * (self.a * (v - self.rest) - w)
        z = jax.nn.sigmoid((v_next - self.threshold) / self.delta)
        if self.mode == "soft":
            v_next = v_next - z
        return {"v": v_next, "w": w_next}, z

    @staticmethod
    def decay(v, tau=20.0):
        return v * jnp.exp(-1.0 / tau)

    def remember(self, v):
        self.history = v
        return self.a * v

    def guarded(self, v):
        return v * 0.5 if self.tau_m > 10.0 else v * self.a
