"""Feed-forward layer of leaky integrate-and-fire neurons with current synapses.

Equations (one step of a fixed length dt, written as exponential decay factors):

    i' = b i + x W
    v' = a v + (1 - a) i' - th z           a spike of the last step subtracts the threshold
    z' = spike(v' - th)                    1 if v' > th, else 0

with a = exp(-dt / tau_mem) and b = exp(-dt / tau_syn). The reset is not differentiated: the
gradient does not go through the z that is subtracted, as is usual when such layers are trained.

Surrogate derivative of the spike: d spike(x) / dx := 1 / (10 |x| + 1)^2, that of SuperSpike.

Units: v, i, z, W and th are dimensionless (the threshold is of order one); a and b are fractions.

References:
    Zenke, F., Ganguli, S. (2018). SuperSpike: supervised learning in multilayer spiking neural
    networks. Neural Computation 30(6), 1514-1541. doi:10.1162/neco_a_01086
    Neftci, E. O., Mostafa, H., Zenke, F. (2019). Surrogate gradient learning in spiking neural
    networks. IEEE Signal Processing Magazine 36(6), 51-63. doi:10.1109/MSP.2019.2931595
"""

# gradgen: shape v=(batch, n) i=(batch, n) z=(batch, n) x=(batch, n_in) w=(n_in, n)
# gradgen: size batch=32 n_in=700 n=256
# gradgen: wrt v, i, z, x, w

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    """Heaviside step of x, differentiated as 1 / (10 |x| + 1)^2."""
    return (x > 0.0).astype(x.dtype)


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,) = primals
    (x_dot,) = tangents
    return spike(x), x_dot / (10.0 * jnp.abs(x) + 1.0) ** 2


def lif_layer(v, i, z, x, w, a=0.95, b=0.9, th=1.0):
    """Advance the layer by one step.

    Args:
        v: membrane potentials.
        i: synaptic currents.
        z: spikes of the last step, 0 or 1.
        x: spikes, or other input, of the layer before.
        w: weights, a row for each input.
        a: membrane decay factor per step, exp(-dt / tau_mem).
        b: synaptic decay factor per step, exp(-dt / tau_syn).
        th: firing threshold.

    Returns:
        (v', i', z'): the new potentials, currents and spikes.
    """
    # gradgen: next v=0 i=1 z=2
    # gradgen: range v=-1:2 i=-2:2 z=0:1 x=0:1 w=-1:1
    # gradgen: range a=0.5:0.999 b=0.5:0.999 th=0.5:1.5
    i_next = b * i + x @ w
    v_next = a * v + (1.0 - a) * i_next - th * jax.lax.stop_gradient(z)
    return v_next, i_next, spike(v_next - th)
