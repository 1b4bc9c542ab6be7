"""The loss of `examples/patterns.py` with its loop over time: adaptive LIF neurons.

Two layers of the neurons of `models/alif.py`, each at rest in the beginning, and a readout:

    I1 = currents W1        s1 = spikes of the first layer
    I2 = s1 W2              s2 = spikes of the second layer
    evidence = 10 (mean over time of s2 W3)
    loss = cross-entropy of softmax(evidence), mean over the batch

Returns the loss, and the share of examples that were told rightly.
"""

# gradgen: shape w.first=(channels, n) w.second=(n, n) w.readout=(n, patterns)
# gradgen: shape currents=(time, batch, channels) labels=(batch,):int
# gradgen: size time=200 batch=32 channels=40 n=128 patterns=8

import jax
import jax.numpy as jnp


def neuron(U, A, S, alpha=0.951, th=1.0, beta=-0.17, rho=0.995):
    """One step of the neuron."""
    U = alpha * U + S
    s = jax.nn.sigmoid(U - (th + beta * A))
    return U, rho * A - s, s


def alif_patterns(w, currents, labels):
    """The loss of a batch, and its hits."""

    def step(layers, current):
        U1, A1, U2, A2 = layers
        U1, A1, sent = neuron(U1, A1, current @ w["first"])
        U2, A2, sent = neuron(U2, A2, sent @ w["second"])
        return (U1, A1, U2, A2), sent @ w["readout"]

    rest = jnp.zeros((currents.shape[1], w["second"].shape[0]), currents.dtype)
    _, outputs = jax.lax.scan(step, (rest, rest, rest, rest), currents)
    evidence = 10.0 * jnp.mean(outputs, axis=0)
    told = jnp.take_along_axis(jax.nn.log_softmax(evidence), labels[:, None], axis=1)
    return -jnp.mean(told), jnp.mean(jnp.argmax(evidence, axis=1) == labels)
