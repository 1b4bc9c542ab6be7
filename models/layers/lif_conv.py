"""Convolutional layer of leaky integrate-and-fire neurons with a learned time constant (PLIF).

Equations (one step):

    i  = x convolved with K, plus b for each channel      no stride, "same" padding
    u  = v + sigmoid(w) (i - v)                           1 / tau = sigmoid(w), the same for all
    z  = spike(u - th)                                    1 if u > th, else 0
    v' = u (1 - z)                                        hard reset to zero

The rate 1 / tau is kept between 0 and 1 by learning w instead of tau. The reset is differentiated,
with the surrogate derivative of the spike, d spike(x) / dx := 1 / (1 + (pi x)^2).

Units: v, i, K, b and th are dimensionless; images are (channels, height, width).

References:
    Fang, W., Yu, Z., Chen, Y., Masquelier, T., Huang, T., Tian, Y. (2021). Incorporating learnable
    membrane time constant to enhance learning of spiking neural networks. IEEE/CVF International
    Conference on Computer Vision, 2661-2671. doi:10.1109/ICCV48922.2021.00266
"""

# gradgen: shape v=(batch, c_out, height, width) x=(batch, c_in, height, width)
# gradgen: shape kernel=(c_out, c_in, 3, 3) bias=(c_out,) w=()
# gradgen: size batch=8 c_in=2 c_out=16 height=32 width=32
# gradgen: wrt v, x, kernel, bias, w

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    """Heaviside step of x, differentiated as 1 / (1 + (pi x)^2)."""
    return (x > 0.0).astype(x.dtype)


@spike.defjvp
def _spike_jvp(primals, tangents):
    (x,) = primals
    (x_dot,) = tangents
    return spike(x), x_dot / (1.0 + (jnp.pi * x) ** 2)


def lif_conv(v, x, kernel, bias, w, th=1.0):
    """Advance the layer by one step.

    Args:
        v: membrane potentials.
        x: spikes, or other input, of the layer before.
        kernel: weights (channels out, channels in, 3, 3).
        bias: constant input to each channel.
        w: logit of 1 / tau, with tau in steps; 0 is a time constant of two steps.
        th: firing threshold.

    Returns:
        (v', z): the new potentials and the spikes.
    """
    # gradgen: next v=0
    # gradgen: range v=-1:1.5 x=0:1 kernel=-1:1 bias=-1:1 w=-3:3 th=0.5:1.5
    i = jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME") + bias[:, None, None]
    u = v + jax.nn.sigmoid(w) * (i - v)
    z = spike(u - th)
    return u * (1.0 - z), z
