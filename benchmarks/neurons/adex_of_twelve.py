"""AdEx in one Euler step with a hard reset, differentiated by twelve of its arguments.

Equations: Brette, R., Gerstner, W. (2005). Adaptive exponential integrate-and-fire model as an
effective description of neuronal activity. Journal of Neurophysiology 94(5), 3637-3642. The spike
has the surrogate derivative of Zenke, F., Ganguli, S. (2018), SuperSpike.
"""

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    """Return 1 above 0."""
    return jnp.where(x > 0.0, 1.0, 0.0)


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (1.0 + 10.0 * jnp.abs(x)) ** 2


# gradgen: range v=-80:-35 w=-50:300 current=0:1000 c_m=100:300 g_l=5:20 e_l=-75:-60
# gradgen: range v_t=-55:-45 delta_t=1:4 tau_w=30:200 a=0:8 b=0:100 v_r=-65:-50
def adex_of_twelve(
    v, w, current, c_m, g_l, e_l, v_t, delta_t, tau_w, a, b, v_r, v_peak=0.0, dt=0.1
):
    """Advance the neuron by `dt` milliseconds; returns potential, adaptation and spike."""
    leak = g_l * (e_l - v)
    upswing = g_l * delta_t * jnp.exp((v - v_t) / delta_t)
    v_new = v + dt * (leak + upswing - w + current) / c_m
    w_new = w + dt * (a * (v - e_l) - w) / tau_w
    s = spike((v_new - v_peak) / delta_t)
    return s * v_r + (1.0 - s) * v_new, w_new + s * b, s
