"""Style of braintrace: GIF neurons, exponential synapses, masked weights of either sign."""

# gradgen: example state={v, i2, syn, z} params={ff, rec, sign, mask}
# gradgen: shape state.v=(batch, n) state.i2=(batch, n) state.syn=(batch, n) state.z=(batch, n)
# gradgen: shape params.ff=(n_in, n) params.rec=(n, n) params.sign=(n, 1) params.mask=(n, n):bool
# gradgen: shape tau_i2=(n,) x=(batch, n_in)
# gradgen: range tau_i2=50:200
# gradgen: wrt state, params.ff, params.rec, tau_i2

import jax
import jax.numpy as jnp


@jax.custom_jvp
def relu_grad(x):
    return jnp.asarray(x >= 0, x.dtype)


@relu_grad.defjvp
def _relu_grad(primals, tangents):
    (x,), (dx,) = primals, tangents
    return relu_grad(x), 0.3 * jnp.maximum(1.0 - jnp.abs(x), 0) * dx


def exp_euler(x, tau, drive=0.0, dt=1.0):
    decay = jnp.exp(-dt / tau)
    return x * decay + drive * (1 - decay)


def gif_net(state, x, params, tau_i2):
    inp = x @ params["ff"]
    rec = state["z"] @ (jnp.abs(params["rec"]) * params["sign"] * params["mask"])
    syn = exp_euler(state["syn"], 10.0) + inp + rec
    z_last = jax.lax.stop_gradient(state["z"])
    i2 = exp_euler(state["i2"], tau_i2) - 0.5 * z_last
    v = exp_euler(state["v"] - z_last, 20.0, syn + i2 + 0.5)
    z = relu_grad((v - 0.6) / 0.6)
    return {"v": v, "i2": i2, "syn": syn, "z": z}
