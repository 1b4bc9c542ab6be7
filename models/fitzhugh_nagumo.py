"""FitzHugh-Nagumo model of an excitable membrane.

Equations (forward Euler with dt = 0.1):

    v' = v + dt (v - v^3 / 3 - w + I)
    w' = w + dt (v + a - b w) / tau

Units: all quantities are dimensionless, time too. With the defaults the resting state is stable
without a current, near v = -1.2 and w = -0.62, and the model oscillates for currents between
about 0.33 and 1.42.

References:
    FitzHugh, R. (1961). Impulses and physiological states in theoretical models of nerve membrane.
    Biophysical Journal 1(6), 445-466. doi:10.1016/S0006-3495(61)86902-6
    Nagumo, J., Arimoto, S., Yoshizawa, S. (1962). An active pulse transmission line simulating
    nerve axon. Proceedings of the IRE 50(10), 2061-2070. doi:10.1109/JRPROC.1962.288235
"""


def fitzhugh_nagumo_step(v, w, I, a=0.7, b=0.8, tau=12.5):
    """Advance the model by 0.1 time units.

    Args:
        v: fast, voltage-like variable (dimensionless).
        w: slow recovery variable (dimensionless).
        I: stimulus (dimensionless).
        a: offset of the recovery nullcline (dimensionless).
        b: slope of the recovery nullcline (dimensionless).
        tau: ratio of the slow to the fast time constant (dimensionless).

    Returns:
        (v', w'): the new state.
    """
    # gradgen: range v=-2.5:2.5 w=-1:2 I=-0.5:1.5
    # gradgen: range a=0.5:1 b=0.5:1 tau=5:20
    v_next = v + 0.1 * (v - v**3 / 3.0 - w + I)
    w_next = w + 0.1 * (v + a - b * w) / tau
    return v_next, w_next
