"""Plain research code: an exact exponential integrator, a 2x2 matrix on the stacked state."""

import jax.numpy as jnp

# exp(A dt) of dv/dt = -v + i, di/dt = -2 i with dt = 0.1, and the response to a constant input
PROPAGATOR = ((0.904837418, 0.086106665), (0.0, 0.818730753))
INPUT = (0.004528, 0.090635)


def propagate(v, i, x):
    """LIF membrane and synapse advanced together: [v, i] -> P [v, i] + x q."""
    state = jnp.stack([v, i])
    P = jnp.asarray(PROPAGATOR, state.dtype)
    moved = jnp.tensordot(P, state, axes=1)
    v_next = moved[0] + INPUT[0] * x
    i_next = moved[1] + INPUT[1] * x
    rate = jnp.sum(jnp.stack([v_next, i_next, v_next * i_next]), axis=0)
    return v_next, i_next, rate
