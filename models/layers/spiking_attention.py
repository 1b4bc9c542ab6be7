"""Spiking self-attention over the tokens of a sequence, with layer normalisation.

Equations (one step, for each example of the batch by itself):

    s  = g normed(x) + c                  over the features of a token: mean 0, variance 1
    y  = LIF(s Wy), y = q, k, v           three layers of spikes (tokens, features)
    p  = (q k^T) v / 8                    scores are numbers of common spikes: no softmax
    z  = LIF(p Wo)

    LIF(i):  u = a u + i,  z = spike(u - th),  u' = u - th z with the z not differentiated

The products q k^T and (q k^T) v are of spikes, hence sums without multiplications on hardware that
has events. The reference normalises over the batch; here each token is normalised by itself (Ba et
al.), so that examples do not see each other.

Surrogate derivative of the spike: d spike(x) / dx := s (1 - s) 4, s = sigmoid(4 x).

Units: everything is dimensionless; a is a fraction.

References:
    Zhou, Z., Zhu, Y., He, C., Wang, Y., Yan, S., Tian, Y., Yuan, L. (2023). Spikformer: when
    spiking neural network meets transformer. International Conference on Learning Representations.
    doi:10.48550/arXiv.2209.15425
    Ba, J. L., Kiros, J. R., Hinton, G. E. (2016). Layer normalization.
    doi:10.48550/arXiv.1607.06450
"""

# gradgen: shape state.q=(batch, t, d) state.k=(batch, t, d) state.v=(batch, t, d)
# gradgen: shape state.o=(batch, t, d) x=(batch, t, d)
# gradgen: shape params.gain=(d,) params.shift=(d,)
# gradgen: shape params.wq=(d, d) params.wk=(d, d) params.wv=(d, d) params.wo=(d, d)
# gradgen: size batch=16 t=64 d=128
# gradgen: wrt state, x, params

from typing import NamedTuple

import jax
import jax.numpy as jnp


class AttentionState(NamedTuple):
    """State: potentials of the neurons for queries, keys, values and the output."""

    q: jax.Array
    k: jax.Array
    v: jax.Array
    o: jax.Array


class AttentionParams(NamedTuple):
    """Parameters: gain and shift of the normalisation, four matrices."""

    gain: jax.Array
    shift: jax.Array
    wq: jax.Array
    wk: jax.Array
    wv: jax.Array
    wo: jax.Array


@jax.custom_jvp
def spike(x):
    """Heaviside step of x, differentiated as sigmoid(4 x) is."""
    return (x > 0.0).astype(x.dtype)


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,) = primals
    (x_dot,) = tangents
    s = jax.nn.sigmoid(4.0 * x)
    return spike(x), 4.0 * s * (1.0 - s) * x_dot


def lif(u, i, a, th):
    """A step of leaky neurons: the new potentials and the spikes."""
    u = a * u + i
    z = spike(u - th)
    return u - th * jax.lax.stop_gradient(z), z


def spiking_attention(state: AttentionState, x, params: AttentionParams, a=0.5, th=1.0):
    """Advance the layer by one step.

    Args:
        state: potentials of queries, keys, values and output, each (batch, tokens, features).
        x: the tokens.
        params: gain and shift of the normalisation, matrices of queries, keys, values and output.
        a: decay factor of the potentials per step.
        th: firing threshold.

    Returns:
        (state', z): the new state and the spikes of the output.
    """
    # gradgen: next state.q=0.q state.k=0.k state.v=0.v state.o=0.o
    # gradgen: range state=-1:1.5 x=-1:1 params=-1:1 a=0.1:0.9 th=0.5:1.5
    centred = x - x.mean(-1, keepdims=True)
    variance = (centred**2).mean(-1, keepdims=True)
    s = params.gain * centred * jax.lax.rsqrt(variance + 1e-5) + params.shift
    u_q, q = lif(state.q, s @ params.wq, a, th)
    u_k, k = lif(state.k, s @ params.wk, a, th)
    u_v, v = lif(state.v, s @ params.wv, a, th)
    scores = jnp.einsum("btd,bsd->bts", q, k)
    u_o, z = lif(state.o, 0.125 * (scores @ v) @ params.wo, a, th)
    return AttentionState(u_q, u_k, u_v, u_o), z
