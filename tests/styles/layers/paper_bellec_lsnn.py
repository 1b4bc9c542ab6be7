"""After Bellec et al. 2018: adaptive threshold, refractory period, readout, a penalty for rates."""

# gradgen: example state={v, a, z, r, y} params={w_in, w_rec, w_out}
# gradgen: shape state.v=(batch, n) state.a=(batch, n) state.z=(batch, n) state.r=(batch, n):int32
# gradgen: shape state.y=(batch, k) params.w_in=(n_in, n) params.w_rec=(n, n) params.w_out=(n, k)
# gradgen: shape x=(batch, n_in) target=(batch, k)
# gradgen: wrt params, state
# gradgen: next state.v=1.v state.a=1.a state.z=1.z state.r=1.r state.y=1.y

import jax
import jax.numpy as jnp


@jax.custom_gradient
def spike(v_scaled, dampening):
    z = jnp.greater(v_scaled, 0.0).astype(v_scaled.dtype)

    def pull(g):
        return g * dampening * jnp.maximum(1 - jnp.abs(v_scaled), 0), jnp.zeros_like(dampening)

    return z, pull


def lsnn(params, state, x, target, theta=0.6, beta=0.07, alpha=0.95, rho=0.99, kappa=0.9):
    n = state["v"].shape[1]
    w_rec = params["w_rec"] * (1.0 - jnp.eye(n, dtype=params["w_rec"].dtype))
    a = rho * state["a"] + state["z"]
    current = jnp.einsum("bi,ij->bj", x, params["w_in"]) + jnp.einsum(
        "bi,ij->bj", state["z"], w_rec
    )
    v = alpha * state["v"] + current - theta * state["z"]
    z = spike((v - theta - beta * a) / theta, jnp.asarray(0.3))
    z = jnp.where(state["r"] > 0, 0.0, z)
    r = jnp.clip(state["r"] + 3 * (z > 0).astype(jnp.int32) - 1, 0, 3)
    y = kappa * state["y"] + z @ params["w_out"]
    error = jnp.mean(jnp.square(y - target))
    rate = jnp.mean(z, axis=0)
    penalty = jnp.mean(jnp.square(rate - 0.1))
    return error + 0.1 * penalty, {"v": v, "a": a, "z": z, "r": r, "y": y}
