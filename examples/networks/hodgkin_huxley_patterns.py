"""The loss of `examples/patterns.py` with its loop over time: Hodgkin-Huxley neurons.

Two layers of the neurons of `models/hodgkin_huxley.py`, each at rest in the beginning, and a
readout:

    I1 = currents W1        r1 = sigmoid((v1 + 40) / 10)
    I2 = r1 W2              r2 = sigmoid((v2 + 40) / 10)
    evidence = 10 (mean over time of r2 W3)
    loss = cross-entropy of softmax(evidence), mean over the batch

Returns the loss, and the share of examples that were told rightly. The rates are 0/0 at single
potentials, as in the model.
"""

# gradgen: shape w.first=(channels, n) w.second=(n, n) w.readout=(n, patterns)
# gradgen: shape currents=(time, batch, channels) labels=(batch,):int
# gradgen: size time=600 batch=32 channels=40 n=32 patterns=4

import jax
import jax.numpy as jnp

REST = (-65.0, 0.053, 0.596, 0.318)


def neuron(v, m, h, n, I, gNa=120.0, gK=36.0, gL=0.3):
    """One step of the neuron, of 0.01 ms."""
    am = 0.1 * (v + 40.0) / (1.0 - jnp.exp(-(v + 40.0) / 10.0))
    bm = 4.0 * jnp.exp(-(v + 65.0) / 18.0)
    ah = 0.07 * jnp.exp(-(v + 65.0) / 20.0)
    bh = 1.0 / (1.0 + jnp.exp(-(v + 35.0) / 10.0))
    an = 0.01 * (v + 55.0) / (1.0 - jnp.exp(-(v + 55.0) / 10.0))
    bn = 0.125 * jnp.exp(-(v + 65.0) / 80.0)
    I_Na = gNa * m**3 * h * (v - 50.0)
    I_K = gK * n**4 * (v + 77.0)
    I_L = gL * (v + 54.4)
    return (
        v + 0.01 * (I - I_Na - I_K - I_L),
        m + 0.01 * (am * (1.0 - m) - bm * m),
        h + 0.01 * (ah * (1.0 - h) - bh * h),
        n + 0.01 * (an * (1.0 - n) - bn * n),
    )


def release(v):
    """What a depolarised membrane sends on."""
    return jax.nn.sigmoid((v + 40.0) / 10.0)


def hodgkin_huxley_patterns(w, currents, labels):
    """The loss of a batch, and its hits."""

    def step(layers, current):
        first, second = layers
        first = neuron(*first, current @ w["first"])
        second = neuron(*second, release(first[0]) @ w["second"])
        return (first, second), release(second[0]) @ w["readout"]

    shape = (currents.shape[1], w["second"].shape[0])
    rest = tuple(jnp.full(shape, x, currents.dtype) for x in REST)
    _, outputs = jax.lax.scan(step, (rest, rest), currents)
    evidence = 10.0 * jnp.mean(outputs, axis=0)
    told = jnp.take_along_axis(jax.nn.log_softmax(evidence), labels[:, None], axis=1)
    return -jnp.mean(told), jnp.mean(jnp.argmax(evidence, axis=1) == labels)
