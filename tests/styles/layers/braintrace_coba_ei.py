"""Style of braintrace: E/I population with conductances, Dale's law, a readout."""

# gradgen: example state={v, ge, gi, out} w={e, i, out}
# gradgen: shape state.v=(batch, 5*m) state.ge=(batch, 5*m) state.gi=(batch, 5*m)
# gradgen: shape state.out=(batch, o) w.e=(4*m, 5*m) w.i=(m, 5*m) w.out=(5*m, o) x=(batch, 5*m)
# gradgen: range state.v=-65:-50 state.ge=0:1 state.gi=0:1 x=0:5 w.e=0:0.3 w.i=0:0.3

import jax
import jax.numpy as jnp


@jax.custom_gradient
def spike(x):
    return (x > 0).astype(x.dtype), lambda g: 0.3 * g * jnp.exp(-(x**2))


def ei_step(state, x, w):
    v, ge, gi, out = state["v"], state["ge"], state["gi"], state["out"]
    z = spike((v + 50.0) / 10.0)
    v = jnp.where(z > 0, -60.0, v)
    num_exc = w["e"].shape[0]
    e, i = z[:, :num_exc], z[:, num_exc:]
    ge = ge * jnp.exp(-1.0 / 5.0) + e @ jnp.abs(w["e"])
    gi = gi * jnp.exp(-1.0 / 10.0) + i @ jnp.abs(w["i"])
    current = ge * (0.0 - v) - gi * (v + 80.0) + x
    v = v + (-(v + 60.0) + current) / 20.0
    out = 0.9 * out + z @ w["out"]
    return {"v": v, "ge": ge, "gi": gi, "out": out}
