"""Plain research code: the state goes through jax.tree.map whole, so nothing shows its structure.

The example directive says what cannot be read from the code.
"""

import jax
import jax.numpy as jnp


def filtered(state, x, decay=0.9):
    """Every leaf of the state decays alike; the output weighs the input by their sum."""
    # gradgen: example state={soma, dendrite, trace}
    decayed = jax.tree.map(lambda leaf: decay * leaf + (1 - decay) * x, state)
    total = sum(jax.tree.leaves(decayed))
    return decayed, jnp.tanh(total) * x
