"""Classes as populations: a class has five neurons, their mean rate is the logit."""

# gradgen: example params={w, b} state={v, rate}
# gradgen: shape params.w=(m, 5*c) params.b=(5*c,) state.v=(batch, 5*c) state.rate=(batch, 5*c)
# gradgen: shape x=(batch, m) labels=(batch,):int32
# gradgen: wrt params, state
# gradgen: next state.v=1.v state.rate=1.rate

import jax
import jax.numpy as jnp


@jax.custom_jvp
def spike(x):
    return (x > 0).astype(x.dtype)


@spike.defjvp
def _spike(primals, tangents):
    (x,), (dx,) = primals, tangents
    return spike(x), dx / (10.0 * jnp.abs(x) + 1.0) ** 2


def population(params, state, x, labels):
    v = 0.9 * state["v"] + x @ params["w"] + params["b"]
    z = spike(v - 1.0)
    rate = 0.9 * state["rate"] + 0.1 * z
    logits = rate.reshape(x.shape[0], -1, 5).mean(-1)
    log_p = jax.nn.log_softmax(logits, axis=-1)
    loss = -jnp.take_along_axis(log_p, labels[:, None], axis=-1).mean()
    accuracy = (jnp.argmax(logits, -1) == labels).mean()
    return loss, {"v": v - z, "rate": rate, "accuracy": accuracy}
