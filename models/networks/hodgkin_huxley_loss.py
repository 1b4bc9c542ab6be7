"""Loss of the potentials of a layer of Hodgkin-Huxley neurons, with substeps.

Equations (ten steps of forward Euler with dt = 0.02 ms in each step of the input, for every example
of a batch; membrane capacitance 1 uF/cm^2):

    I  = x W                                       input of the layer, the same in all substeps
    v' = v + dt (I - gNa m^3 h (v - ENa) - gK n^4 (v - EK) - gL (v - EL))
    y' = y + dt (ay (1 - y) - by y)                for y = m, h, n

    am = 0.1 (v + 40) / (1 - exp(-(v + 40) / 10))      bm = 4 exp(-(v + 65) / 18)
    ah = 0.07 exp(-(v + 65) / 20)                      bh = 1 / (1 + exp(-(v + 35) / 10))
    an = 0.01 (v + 55) / (1 - exp(-(v + 55) / 10))     bn = 0.125 exp(-(v + 65) / 80)

    loss = mean over time, examples and neurons of (v' - target)^2 / 100

with ENa = 50 mV, EK = -77 mV and EL = -54.4 mV; v' is that after a step of the input. Weights and
the neurons' maximal conductances gNa and gK are learned.

Units: v in mV; m, h and n are fractions between 0 and 1; I in uA/cm^2; conductances in mS/cm^2.

References:
    Hodgkin, A. L., Huxley, A. F. (1952). A quantitative description of membrane current and its
    application to conduction and excitation in nerve. The Journal of Physiology 117(4), 500-544.
    doi:10.1113/jphysiol.1952.sp004764
    Deistler, M., Kadhim, K. L., Pals, M., et al. (2025). Jaxley: differentiable simulation enables
    large-scale training of detailed biophysical models of neural dynamics. Nature Methods 22,
    2649-2657. doi:10.1038/s41592-025-02895-w
"""

# gradgen: shape params.w=(n_in, n) params.gNa=(n,) params.gK=(n,)
# gradgen: shape xs=(time, batch, n_in) targets=(time, batch, n)
# gradgen: size time=100 batch=16 n_in=32 n=64

from typing import NamedTuple

import jax
import jax.numpy as jnp

DT = 0.02
SUBSTEPS = 10


class Params(NamedTuple):
    """Weights of the inputs (uA/cm^2) and maximal conductances (mS/cm^2)."""

    w: jax.Array
    gNa: jax.Array
    gK: jax.Array


def rates(v):
    """The opening and closing rates of m, h and n (1/ms)."""
    am = 0.1 * (v + 40.0) / (1.0 - jnp.exp(-(v + 40.0) / 10.0))
    bm = 4.0 * jnp.exp(-(v + 65.0) / 18.0)
    ah = 0.07 * jnp.exp(-(v + 65.0) / 20.0)
    bh = 1.0 / (1.0 + jnp.exp(-(v + 35.0) / 10.0))
    an = 0.01 * (v + 55.0) / (1.0 - jnp.exp(-(v + 55.0) / 10.0))
    bn = 0.125 * jnp.exp(-(v + 65.0) / 80.0)
    return (am, bm), (ah, bh), (an, bn)


def hodgkin_huxley_loss(params: Params, xs, targets, gL=0.3):
    """The mean squared error of the potentials of a batch of inputs xs."""

    def step(state, x):
        current = x @ params.w

        def substep(state, _):
            v, m, h, n = state
            (am, bm), (ah, bh), (an, bn) = rates(v)
            i_na = params.gNa * m**3 * h * (v - 50.0)
            i_k = params.gK * n**4 * (v + 77.0)
            i_l = gL * (v + 54.4)
            v = v + DT * (current - i_na - i_k - i_l)
            m = m + DT * (am * (1.0 - m) - bm * m)
            h = h + DT * (ah * (1.0 - h) - bh * h)
            n = n + DT * (an * (1.0 - n) - bn * n)
            return (v, m, h, n), None

        state, _ = jax.lax.scan(substep, state, None, length=SUBSTEPS)
        return state, state[0]

    v = jnp.full(targets.shape[1:], -65.0, xs.dtype)
    start = (v, *(a / (a + b) for a, b in rates(v)))
    _, potentials = jax.lax.scan(step, start, xs)
    return jnp.mean((potentials - targets) ** 2) / 100.0
