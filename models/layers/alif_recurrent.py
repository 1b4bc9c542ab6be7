"""Recurrent layer of adaptive leaky integrate-and-fire neurons (LSNN).

Equations (one step of 1 ms):

    a' = r a + z                                 adaptation, counts spikes and forgets them
    v' = d v + x W + z (R without its diagonal) - th z
    A  = th + beta a'                            threshold
    z' = spike((v' - A) / th)                    1 if v' > A, else 0

with d = exp(-1 ms / tau_mem) and r = exp(-1 ms / tau_adapt). No neuron excites itself. As in the
models of the second reference there is no derivative along the z that is subtracted.

Surrogate derivative of the spike: d spike(x) / dx := 0.3 max(0, 1 - |x|).

Units: v, x, z, W, R and th are dimensionless; d and r are fractions.

References:
    Bellec, G., Salaj, D., Subramoney, A., Legenstein, R., Maass, W. (2018). Long short-term memory
    and learning-to-learn in networks of spiking neurons. Advances in Neural Information Processing
    Systems 31, 787-797. doi:10.48550/arXiv.1803.09574
    Bellec, G., Scherr, F., Subramoney, A., Hajek, E., Salaj, D., Legenstein, R., Maass, W. (2020).
    A solution to the learning dilemma for recurrent networks of spiking neurons. Nature
    Communications 11, 3625. doi:10.1038/s41467-020-17236-y
"""

# gradgen: shape state.v=(batch, n) state.a=(batch, n) state.z=(batch, n)
# gradgen: shape x=(batch, n_in) w=(n_in, n) r=(n, n)
# gradgen: size batch=32 n_in=80 n=256
# gradgen: wrt state, x, w, r

from typing import NamedTuple

import jax
import jax.numpy as jnp


class ALIFState(NamedTuple):
    """State: potentials v, adaptation a, spikes z of the last step."""

    v: jax.Array
    a: jax.Array
    z: jax.Array


@jax.custom_jvp
def spike(x):
    """Heaviside step of x, differentiated as 0.3 max(0, 1 - |x|)."""
    return (x > 0.0).astype(x.dtype)


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,) = primals
    (x_dot,) = tangents
    return spike(x), 0.3 * jnp.maximum(0.0, 1.0 - jnp.abs(x)) * x_dot


def alif_recurrent(state: ALIFState, x, w, r, decay=0.95, rho=0.995, beta=0.07, th=0.6):
    """Advance the layer by 1 ms.

    Args:
        state: potentials v, adaptation a, spikes z of the last step.
        x: input.
        w: weights of the input, a row for each.
        r: recurrent weights, a row for each sender; the diagonal is not used.
        decay: membrane decay factor per step.
        rho: decay factor of the adaptation per step.
        beta: how much a unit of adaptation raises the threshold.
        th: firing threshold at rest.

    Returns:
        The new state, whose z are the spikes.
    """
    # gradgen: range state.v=-1:2 state.a=0:10 state.z=0:1 x=0:1 w=-1:1 r=-1:1
    # gradgen: range decay=0.5:0.999 rho=0.9:0.999 beta=0:0.2 th=0.3:1
    a = rho * state.a + state.z
    others = jnp.where(jnp.eye(r.shape[0], dtype=bool), 0.0, r)
    v = decay * state.v + x @ w + state.z @ others - th * jax.lax.stop_gradient(state.z)
    return ALIFState(v, a, spike((v - th - beta * a) / th))
