"""One step of a muscle of Hill's type that a motor neuron excites.

Activation, force over length and over velocity, and passive elastic forces of muscle and tendon:
Thelen, D. G. (2003). Adjustment of muscle mechanics model parameters to simulate dynamic
contractions in older adults. Journal of Biomechanical Engineering 125(1), 70-77. Fibres have a
small mass, so that their velocity is a state: Millard, M., Uchida, T., Seth, A., Delp, S. L.
(2013). Flexing computational muscle. Journal of Biomechanical Engineering 135(2), 021005.
"""

import jax.numpy as jnp


# gradgen: range excitation=0:1 activation=0.05:1 length=0.06:0.14 velocity=-0.4:0.4
# gradgen: range tendon_length=0.18:0.24 max_force=500:1500 optimal_length=0.05:0.15
# gradgen: range max_velocity=0.5:1.5 slack_length=0.15:0.25 pennation=0.1:0.4 tau_rise=0.01:0.03
# gradgen: range tau_fall=0.03:0.08 gamma=0.3:0.6 shape=0.15:0.4 stretch=0.4:0.8
# gradgen: range lengthening=1.2:1.8 damping=0.05:0.2
def muscle(
    excitation,
    activation,
    length,
    velocity,
    tendon_length,
    max_force,
    optimal_length,
    max_velocity,
    slack_length,
    pennation,
    tau_rise,
    tau_fall,
    gamma,
    shape,
    stretch,
    lengthening,
    damping,
    mass=0.5,
    dt=1e-3,
):
    """Advance activation, length and velocity by `dt` seconds; returns them, and the force."""
    rising = excitation > activation
    lag = 0.5 + 1.5 * activation
    tau = jnp.where(rising, tau_rise * lag, tau_fall / lag)
    activation = jnp.clip(activation + dt * (excitation - activation) / tau, 0.01, 1.0)

    norm_length = length / optimal_length
    norm_velocity = velocity / max_velocity
    active = jnp.exp(-((norm_length - 1.0) ** 2) / gamma)
    shortening = (1.0 + norm_velocity) / (1.0 - norm_velocity / shape)
    eccentric = 1.0 + (lengthening - 1.0) * norm_velocity / (norm_velocity + 0.13)
    by_velocity = jnp.where(norm_velocity <= 0.0, jnp.maximum(shortening, 0.0), eccentric)
    passive = (jnp.exp(5.0 * (norm_length - 1.0) / stretch) - 1.0) / (jnp.exp(5.0) - 1.0)
    fibre_force = max_force * (
        activation * active * by_velocity + jnp.maximum(passive, 0.0) + damping * norm_velocity
    )

    strain = tendon_length / slack_length - 1.0
    tendon_force = max_force * jnp.where(
        strain > 0.0335, 1.0 / 0.035 * (strain - 0.0335) + 0.6, 0.1 * jnp.expm1(58.0 * strain)
    )
    cosine = jnp.cos(pennation)
    acceleration = (tendon_force / cosine - fibre_force) * cosine / mass
    new_velocity = velocity + dt * acceleration
    new_length = length + dt * new_velocity
    return activation, new_length, new_velocity, fibre_force * cosine
