"""Plain research code: four Euler sub-steps in a lax.fori_loop with a static trip count."""

from jax import lax


def fhn_substeps(v, w, current, a=0.7, b=0.8, eps=0.08, dt=0.4):
    """FitzHugh-Nagumo, advanced by dt in four sub-steps of dt / 4."""
    h = dt / 4

    def body(_, carry):
        v, w = carry
        dv = v - v**3 / 3 - w + current
        dw = eps * (v + a - b * w)
        return v + h * dv, w + h * dw

    return lax.fori_loop(0, 4, body, (v, w))
