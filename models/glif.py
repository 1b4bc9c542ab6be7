"""Generalised leaky integrate-and-fire neuron with two after-spike currents.

Equations (forward Euler with dt = 0.1 ms), between spikes:

    V_free        = V + dt/C (I + J1 + J2 - G (V - EL))
    J1_decayed    = J1 - dt k1 J1                      after-spike currents, fast and slow
    J2_decayed    = J2 - dt k2 J2
    theta_decayed = theta - dt b_s theta               spike-induced part of the threshold
    z             = spike(V_free - (th_inf + theta_decayed))      1 above the threshold, else 0

and at a spike:

    V'     = V_free + z (V_reset - V_free)    with V_reset = EL + f_v (V_free - EL) - delta_V
    J1'    = J1_decayed + z delta_J1
    J2'    = J2_decayed + z delta_J2
    theta' = theta_decayed + z delta_theta

This is the model GLIF4 of Teeter et al. (leak, after-spike currents and a biologically measured
reset), without the refractory cut of the recorded spike. f_v = 0 with delta_V = 0 is the hard
reset to EL; f_v = 1 subtracts delta_V and nothing else.

The spike has the surrogate derivative 1 / (1 + |x|)^2 with x in mV (a fast sigmoid of about 1 mV).

Units: V, EL, th_inf, theta, delta_V and delta_theta in mV; I, J1, J2, delta_J1 and delta_J2 in pA;
C in pF; G in nS; k1, k2 and b_s in 1/ms; f_v is a fraction.

References:
    Teeter, C., Iyer, R., Menon, V., Gouwens, N., Feng, D., Berg, J., Szafer, A., Cain, N., Zeng,
    H., Hawrylycz, M., Koch, C., Mihalas, S. (2018). Generalized leaky integrate-and-fire models
    classify multiple neuron types. Nature Communications 9, 709. doi:10.1038/s41467-017-02717-4
    Mihalas, S., Niebur, E. (2009). A generalized linear integrate-and-fire neural model produces
    diverse spiking behaviors. Neural Computation 21(3), 704-718. doi:10.1162/neco.2008.12-07-680
"""

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    """Heaviside step of x (mV above threshold), differentiated as 1 / (1 + |x|)^2."""
    return jnp.asarray(x > 0.0, jnp.result_type(x))


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,) = primals
    (x_dot,) = tangents
    slope = 1.0 / (1.0 + jnp.abs(x)) ** 2
    return spike(x), slope * x_dot


def glif_step(
    V,
    J1,
    J2,
    theta,
    I,
    C=100.0,
    G=5.0,
    EL=-70.0,
    th_inf=-50.0,
    k1=0.1,
    k2=0.01,
    delta_J1=-40.0,
    delta_J2=-8.0,
    b_s=0.02,
    delta_theta=2.0,
    f_v=0.2,
    delta_V=2.0,
):
    """Advance the neuron by 0.1 ms.

    Args:
        V: membrane potential (mV).
        J1: fast after-spike current (pA).
        J2: slow after-spike current (pA).
        theta: spike-induced part of the threshold (mV).
        I: injected current (pA).
        C: membrane capacitance (pF).
        G: membrane conductance (nS).
        EL: resting potential (mV).
        th_inf: threshold after long rest (mV).
        k1: decay rate of the fast after-spike current (1/ms).
        k2: decay rate of the slow after-spike current (1/ms).
        delta_J1: jump of the fast after-spike current at a spike (pA).
        delta_J2: jump of the slow after-spike current at a spike (pA).
        b_s: decay rate of the spike-induced threshold (1/ms).
        delta_theta: jump of the threshold at a spike (mV).
        f_v: fraction of the depolarisation that is kept at a spike.
        delta_V: potential subtracted at a spike (mV).

    Returns:
        ((V', J1', J2', theta'), z): the new state and the spike, 0 or 1.
    """
    # gradgen: range V=-90:-30 J1=-150:50 J2=-100:50 theta=0:20 I=-100:600
    # gradgen: range C=50:200 G=2:15 EL=-80:-60 th_inf=-55:-40 k1=0.03:0.3 k2=0.003:0.03
    # gradgen: range delta_J1=-100:50 delta_J2=-40:20 b_s=0.005:0.1 delta_theta=0:5
    # gradgen: range f_v=0:1 delta_V=0:20
    V_free = V + 0.1 / C * (I + J1 + J2 - G * (V - EL))
    J1_decayed = J1 - 0.1 * k1 * J1
    J2_decayed = J2 - 0.1 * k2 * J2
    theta_decayed = theta - 0.1 * b_s * theta

    z = spike(V_free - (th_inf + theta_decayed))

    V_reset = EL + f_v * (V_free - EL) - delta_V
    V_next = V_free + z * (V_reset - V_free)
    J1_next = J1_decayed + z * delta_J1
    J2_next = J2_decayed + z * delta_J2
    theta_next = theta_decayed + z * delta_theta
    return (V_next, J1_next, J2_next, theta_next), z
