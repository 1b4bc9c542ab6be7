"""Style of jaxsnn: parameters in a frozen dataclass with a static field, non-differentiated slope.

The spike method is chosen by name from the static field; its slope is a nondiff argument.
"""

from dataclasses import dataclass, field
from functools import partial

import jax
import jax.numpy as jnp


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Params:
    tau_syn_inv: float = 200.0
    tau_mem_inv: float = 100.0
    v_th: float = 0.6
    method: str = field(default="superspike", metadata={"static": True})


@partial(jax.custom_vjp, nondiff_argnums=(1,))
def heavi(x, slope):
    return 0.5 + 0.5 * jnp.sign(x)


def heavi_fwd(x, slope):
    return heavi(x, slope), x


def heavi_bwd(slope, x, g):
    return (g / (slope * jnp.abs(x) + 1.0) ** 2,)


heavi.defvjp(heavi_fwd, heavi_bwd)


def threshold(x, method):
    if method == "superspike":
        return heavi(x, 100.0)
    if method == "logistic":
        return jax.nn.sigmoid(4.0 * x)
    raise ValueError(f"no spike method called {method!r}")


def step(carry, inputs, params=Params(), dt=1e-3):
    """LIF neuron; carry is (z, v, i), the input is {"z_in": ..., "bias": ...}."""
    z, v, i = carry
    i = i + inputs["z_in"]
    v = v + dt * params.tau_mem_inv * (inputs["bias"] - v + i)
    i = i * (1.0 - dt * params.tau_syn_inv)
    z = threshold(v - params.v_th, params.method)
    v = v - z * params.v_th
    return (z, v, i), {"z": z, "v": v}
