"""Style of snnax: a layer of one example, state in a list, mapped over a batch."""

# gradgen: shape x=(batch, n_in) weight=(n, n_in) bias=(n,) decay=(2,)
# gradgen: shape state.0=(batch, n) state.1=(batch, n) state.2=(batch, n)
# gradgen: range decay=0.5:1
# gradgen: next state.0=0.0 state.1=0.1 state.2=0.2

import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_jvp
def heaviside(x, beta):
    return jnp.heaviside(x, 1.0)


@heaviside.defjvp
def _(primals, tangents):
    x, beta = primals
    x_dot, _ = tangents
    return heaviside(x, beta), x_dot / (beta * jnp.abs(x) + 1.0)


def layer(state, x, weight, bias, decay):
    def example(state, x):
        mem, ada, _ = state
        alpha, kappa = decay
        mem = lax.mul(alpha, mem) + (1.0 - alpha) * (weight @ x + bias)
        spikes = heaviside(mem - 1.0 - 0.3 * ada, 10.0)
        ada = kappa * ada + (1.0 - kappa) * spikes
        mem = mem - lax.stop_gradient(spikes) * mem
        return [mem, ada, spikes], spikes

    return jax.vmap(example)(state, x)
