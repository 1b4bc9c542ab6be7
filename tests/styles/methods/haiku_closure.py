"""Style of Haiku and of functional libraries: a function that makes the step, called once."""

import jax


def make_lif(alpha, reset="subtract"):
    gain = 1.0 - alpha

    @jax.jit
    def lif(state, x, threshold=1.0):
        v, trace = state
        v = alpha * v + gain * x
        z = jax.nn.sigmoid(5.0 * (v - threshold))
        v = v - z * threshold if reset == "subtract" else v * (1.0 - z)
        return (v, 0.9 * trace + z), z

    return lif


lif = make_lif(0.9)
