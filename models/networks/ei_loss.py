"""Loss of a network of excitatory and inhibitory neurons with conductances that learns rates.

Four neurons of five are excitatory, one is inhibitory. Equations (exponential Euler for the
conductances, forward Euler for the membrane, dt = 0.5 ms, for every example of a batch):

    ge' = ge exp(-dt / tau_e) + x Win + zE WE      excitatory conductance
    gi' = gi exp(-dt / tau_i) + zI WI              inhibitory conductance
    u   = v + dt / tau ((EL - v) + ge' (Ee - v) + gi' (Ei - v))
    z'  = spike((u - VT) / (VT - EL))              1 if u > VT, else 0; not while refractory
    v'  = Vr where z' or while refractory (2 ms), else u
    r'  = r exp(-dt / tau_r) + z'                  filtered spikes

    loss = mean over time, examples and outputs of (r' U - target)^2

The sender of a synapse decides its sign (Dale's law): all weights but U are softplus of what is
learned. Spikes have the surrogate derivative 1 / (1 + 10 |x|)^2.

Units: v, EL, Ee, Ei, VT and Vr in mV; conductances in units of the leak conductance; time constants
in ms.

References:
    Vogels, T. P., Abbott, L. F. (2005). Signal propagation and logic gating in networks of
    integrate-and-fire neurons. The Journal of Neuroscience 25(46), 10786-10795.
    doi:10.1523/JNEUROSCI.3508-05.2005
    Cornford, J., Kalajdzievski, D., Leite, M., Lamarquette, A., Kullmann, D. M., Richards, B. A.
    (2021). Learning to live with Dale's principle: ANNs with separate excitatory and inhibitory
    units. International Conference on Learning Representations. doi:10.1101/2020.11.02.364968
"""

# gradgen: shape params.w_in=(n_in, 5*m) params.w_e=(4*m, 5*m) params.w_i=(m, 5*m)
# gradgen: shape params.out=(5*m, n_out) xs=(time, batch, n_in) targets=(time, batch, n_out)
# gradgen: size time=200 batch=32 m=40 n_in=100 n_out=3
# gradgen: wrt params

from typing import NamedTuple

import jax
import jax.numpy as jnp

DT = 0.5
REFRACTORY = 4
"""Steps after a spike."""


class Params(NamedTuple):
    """Of inputs, excitatory neurons, inhibitory neurons and readout."""

    w_in: jax.Array
    w_e: jax.Array
    w_i: jax.Array
    out: jax.Array


@jax.custom_jvp
def spike(x: jax.Array) -> jax.Array:
    """1 above threshold, else 0."""
    return jnp.where(x > 0.0, 1.0, 0.0)


@spike.defjvp
def _superspike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (1.0 + 10.0 * jnp.abs(x)) ** 2


def ei_loss(
    params: Params,
    xs,
    targets,
    tau=20.0,
    tau_e=5.0,
    tau_i=10.0,
    tau_r=20.0,
    EL=-60.0,
    Ee=0.0,
    Ei=-80.0,
    VT=-50.0,
    Vr=-60.0,
):
    """The mean squared error of the readout of a batch of spike trains xs."""
    w_in, w_e, w_i = map(jax.nn.softplus, params[:3])
    excitatory = params.w_e.shape[0]
    zero = jnp.zeros((xs.shape[1], params.w_e.shape[1]), xs.dtype)

    def step(state, x):
        v, ge, gi, z, left, r = state
        ge = ge * jnp.exp(-DT / tau_e) + x @ w_in + z[:, :excitatory] @ w_e
        gi = gi * jnp.exp(-DT / tau_i) + z[:, excitatory:] @ w_i
        u = v + DT / tau * ((EL - v) + ge * (Ee - v) + gi * (Ei - v))
        resting = left > 0
        z = jnp.where(resting, 0.0, spike((u - VT) / (VT - EL)))
        v = jnp.where(resting, Vr, u + z * (Vr - u))
        left = jnp.where(z > 0.0, REFRACTORY, jnp.maximum(left - 1, 0))
        r = r * jnp.exp(-DT / tau_r) + z
        return (v, ge, gi, z, left, r), r @ params.out

    start = zero + EL, zero, zero, zero, jnp.zeros(zero.shape, jnp.int32), zero
    _, found = jax.lax.scan(step, start, xs)
    return jnp.mean((found - targets) ** 2)
