"""Style of rockpool: two synapses a neuron, time constants as arrays, noise."""

# gradgen: shape state.spikes=(batch, n) state.isyn=(batch, n, 2) state.vmem=(batch, n)
# gradgen: example state={spikes, isyn, vmem} params={w_rec, tau_mem, tau_syn, bias, threshold}
# gradgen: shape params.w_rec=(n, 2*n) params.tau_mem=(n,) params.tau_syn=(n, 2) params.bias=(n,)
# gradgen: shape params.threshold=(n,) x=(batch, 2*n) key=():key
# gradgen: range params.tau_mem=0.01:0.05 params.tau_syn=0.005:0.02 params.threshold=0.5:1
# gradgen: wrt state, params, x

import jax
import jax.numpy as jnp


@jax.custom_gradient
def step_pwl(x):
    def pull(g):
        return jnp.where(x > -0.5, g, 0.0)

    return jnp.floor(jnp.maximum(x, -0.5) + 1.0) * (x >= 0), pull


def forward(state, x, params, key, dt=1e-3, noise_std=0.1):
    alpha = jnp.exp(-dt / params["tau_mem"])
    beta = jnp.exp(-dt / params["tau_syn"])
    batch, n = state["vmem"].shape
    spikes, isyn, vmem = state["spikes"], state["isyn"], state["vmem"]
    inp = (x + jnp.dot(spikes, params["w_rec"])).reshape(batch, n, 2)
    isyn = isyn * beta + inp
    noise = noise_std * jax.random.normal(key, vmem.shape, vmem.dtype)
    vmem = vmem * alpha + isyn.sum(2) * (1 - alpha) + params["bias"] + noise
    spikes = step_pwl((vmem - params["threshold"]) / params["threshold"])
    vmem = vmem - spikes * params["threshold"]
    return {"spikes": spikes, "isyn": isyn, "vmem": vmem}, spikes
