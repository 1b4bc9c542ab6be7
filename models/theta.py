"""Theta neuron, the canonical model of type I excitability.

Equations (forward Euler with dt = 0.1 ms):

    theta1 = theta + dt/tau ((1 - cos(theta)) + (1 + cos(theta)) I)
    z      = spike(theta1 - pi)              1 if theta1 > pi, else 0
    theta' = theta1 - 2 pi z

The state is a phase on the circle, between -pi and pi; it is the quadratic integrate-and-fire
neuron with v = tan(theta / 2), whose spike up to infinity and reset from minus infinity is the
passage through pi. For I < 0 the neuron has a resting phase and a threshold, -+ arccos((1 + I) /
(1 - I)); for I > 0 it fires with the period pi tau / sqrt(I).

Nothing jumps at a spike, so subtracting 2 pi is not differentiated (``stop_gradient``): the
derivative of theta' is that of theta1. The spike itself has the surrogate derivative
1 / (1 + 10 |x|)^2.

Units: theta in rad; I is dimensionless; tau in ms.

References:
    Ermentrout, G. B., Kopell, N. (1986). Parabolic bursting in an excitable system coupled with a
    slow oscillation. SIAM Journal on Applied Mathematics 46(2), 233-253. doi:10.1137/0146017
"""

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    """Heaviside step of x, differentiated as 1 / (1 + 10 |x|)^2."""
    return jnp.asarray(x > 0.0, jnp.result_type(x))


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,) = primals
    (x_dot,) = tangents
    slope = 1.0 / (1.0 + 10.0 * jnp.abs(x)) ** 2
    return spike(x), slope * x_dot


def theta_step(theta, I, tau=10.0):
    """Advance the neuron by 0.1 ms.

    Args:
        theta: phase, between -pi and pi (rad).
        I: input (dimensionless).
        tau: time constant (ms).

    Returns:
        (theta', z): the new phase and the spike, 0 or 1.
    """
    # gradgen: range theta=-3.1416:3.1416 I=-1:2 tau=5:30
    c = jnp.cos(theta)
    theta1 = theta + 0.1 / tau * ((1.0 - c) + (1.0 + c) * I)
    z = spike(theta1 - jnp.pi)
    theta_next = theta1 - 2.0 * jnp.pi * jax.lax.stop_gradient(z)
    return theta_next, z
