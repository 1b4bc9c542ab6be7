"""A convolutional block in evaluation mode: batch norm by stored moments, LIF, mean pooling."""

# gradgen: example params={kernel, gamma, beta, mean, var}
# gradgen: shape params.kernel=(3, 3, 2, 4) params.gamma=(4,) params.beta=(4,) params.mean=(4,)
# gradgen: shape params.var=(4,) x=(batch, 6, 6, 2) v=(batch, 6, 6, 4)
# gradgen: range params.var=0.5:2
# gradgen: wrt params.kernel, params.gamma, params.beta, x, v

import jax
import jax.numpy as jnp
from jax import lax


@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _spike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx * 0.5 / (1.0 + (0.5 * jnp.pi * x) ** 2)


def conv_block(params, v, x):
    y = lax.conv_general_dilated(
        x, params["kernel"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    y = (y - params["mean"]) / jnp.sqrt(params["var"] + 1e-5) * params["gamma"] + params["beta"]
    v = v + 0.5 * (y - v)
    z = spike(v - 0.3)
    v = jnp.where(z > 0, 0.0, v)
    batch, height, width, channels = z.shape
    pooled = z.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
    return v, pooled
