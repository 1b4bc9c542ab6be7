"""Leaky integrate-and-fire neuron whose threshold adapts with several time constants.

Equations (one step of a fixed length dt, for the time constants k = 1, 2):

    bk' = rho_k bk + (1 - rho_k) z           traces of the spikes, one per time constant
    B   = b0 + beta_1 b1' + beta_2 b2'       the threshold
    v'  = alpha v + (1 - alpha) x - z B
    z'  = spike(v' - B)                      1 if v' > B, else 0

with alpha = exp(-dt / tau_mem) and rho_k = exp(-dt / tau_k). A fast and a slow part of the
threshold give the neuron, and a network of them, memory on both time scales (the neuron DEXAT of
Shaban et al., which extends the one of Bellec et al. by the second exponential).

The spike has the triangular pseudo-derivative 0.3 max(0, 1 - |x|) of Bellec et al.

Units: all quantities are dimensionless; alpha, rho_1 and rho_2 are decay factors per step. The
defaults are tau_mem = 20 ms, tau_1 = 30 ms and tau_2 = 600 ms at dt = 1 ms.

References:
    Shaban, A., Bezugam, S. S., Suri, M. (2021). An adaptive threshold neuron for recurrent spiking
    neural networks with nanodevice hardware implementation. Nature Communications 12, 4234.
    doi:10.1038/s41467-021-24427-8
    Bellec, G., Scherr, F., Subramoney, A., Hajek, E., Salaj, D., Legenstein, R., Maass, W. (2020).
    A solution to the learning dilemma for recurrent networks of spiking neurons.
    Nature Communications 11, 3625. doi:10.1038/s41467-020-17236-y
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp


class AlifMultiParams(NamedTuple):
    """Decay factors of membrane and adaptation, baseline and strengths of the threshold."""

    alpha: float = 0.951
    rho: tuple[float, float] = (0.967, 0.99833)
    b0: float = 1.0
    beta: tuple[float, float] = (2.0, 8.0)


DEFAULTS = AlifMultiParams()


@jax.custom_jvp
def spike(x):
    """Heaviside step of x, differentiated as 0.3 max(0, 1 - |x|)."""
    return jnp.asarray(x > 0.0, jnp.result_type(x))


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,) = primals
    (x_dot,) = tangents
    slope = 0.3 * jnp.maximum(0.0, 1.0 - jnp.abs(x))
    return spike(x), slope * x_dot


def alif_multi_step(state, x, params: AlifMultiParams = DEFAULTS):
    """Advance the neuron by one step.

    Args:
        state: [v, [b1, b2], z], the potential, the traces of its spikes and the last spike (all
            dimensionless).
        x: input current of this step (dimensionless).
        params: membrane decay factor alpha, decay factors rho of the traces, baseline b0 of the
            threshold, and its changes beta per unit of each trace (dimensionless).

    Returns:
        (state', z'): the new state and the spike, 0 or 1.
    """
    # gradgen: example state=[v, [b1, b2], z]
    # gradgen: range state.0=-1:3 state.1.0=0:1 state.1.1=0:0.5 state.2=0:1 x=-2:5
    # gradgen: range params.alpha=0.8:0.999 params.rho.0=0.8:0.99 params.rho.1=0.9:0.9999
    # gradgen: range params.b0=0.5:1.5 params.beta.0=0:5 params.beta.1=0:20
    v, traces, z = state
    traces = [rho * b + (1.0 - rho) * z for rho, b in zip(params.rho, traces, strict=True)]
    threshold = params.b0 + params.beta[0] * traces[0] + params.beta[1] * traces[1]
    v = params.alpha * v + (1.0 - params.alpha) * x - z * threshold
    z = spike(v - threshold)
    return [v, traces, z], z
