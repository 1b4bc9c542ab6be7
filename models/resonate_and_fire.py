"""Resonate-and-fire neuron.

Equations (exponential Euler with dt = 0.02, exact for an input that is a sum of pulses):

    x1 = e (x cos(omega dt) - y sin(omega dt)) + dt I         with e = exp(b dt)
    y1 = e (x sin(omega dt) + y cos(omega dt))
    z  = spike(y1 - 1)                       1 if y1 > 1, else 0
    x' = x1 - z x1
    y' = y1 + z (1 - y1)

In complex notation, dw/dt = (b + i omega) w + I for w = x + i y: x is the current-like and y the
voltage-like variable. The membrane answers a pulse with a damped oscillation, so it fires when
pulses arrive in the rhythm of its eigenfrequency omega, and stays silent when more of them come
in another one. A spike resets the state to x = 0 and y = 1, the threshold.

The spike has the surrogate derivative 1 / (1 + 10 |x|)^2.

Units: x, y and the time are dimensionless; I in 1/time; b and omega in 1/time.

References:
    Izhikevich, E. M. (2001). Resonate-and-fire neurons. Neural Networks 14(6-7), 883-894.
    doi:10.1016/S0893-6080(01)00078-8
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


def resonate_and_fire_step(x, y, I, b=-1.0, omega=10.0):
    """Advance the neuron by 0.02 time units.

    Args:
        x: current-like variable (dimensionless).
        y: voltage-like variable (dimensionless).
        I: input (1/time).
        b: rate of attraction to rest, negative (1/time).
        omega: angular eigenfrequency (1/time).

    Returns:
        (x', y', z): the new state and the spike, 0 or 1.
    """
    # gradgen: range x=-2:2 y=-2:1 I=-50:50
    # gradgen: range b=-3:-0.1 omega=2:20
    decay = jnp.exp(0.02 * b)
    along = decay * jnp.cos(0.02 * omega)
    across = decay * jnp.sin(0.02 * omega)
    x1 = along * x - across * y + 0.02 * I
    y1 = across * x + along * y
    z = spike(y1 - 1.0)
    x_next = x1 - z * x1
    y_next = y1 + z * (1.0 - y1)
    return x_next, y_next, z
