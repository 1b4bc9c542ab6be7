"""A function put together at random, of vectors and matrices: f of AlphaGrad's tasks."""

# gradgen: shape a=(4,) b=(2, 3) c=(4, 4) d=(4, 1)
# gradgen: range a=0.1:0.9 b=-0.5:0.5 c=0.1:0.6 d=0.1:0.6
import jax.numpy as jnp
from jax import lax


def _along(left, right, i, j):
    """The product of two arrays, summed over an axis of each."""
    return lax.dot_general(left, right, (((i,), (j,)), ((), ())))


def _waves(column, number):
    """A column moved forth and back, and what is made of both."""
    shifted = column + number.reshape(1, 1) - number.reshape(1, 1)
    turned = jnp.cos(number)
    waves = jnp.arctan(shifted + (corner := turned.reshape(1, 1)))
    return shifted, turned, waves, corner


def random_function(a, b, c, d):
    """Compute five results that mean nothing."""
    cubes = c**3
    weights = _along(d, cubes, 0, 0)
    powers = weights**2
    angles = jnp.arccos(_along(cubes, weights, 0, 1))
    roots = jnp.sqrt(a)
    outer = _along(angles, powers, 1, 0)
    shifted, turned, waves, corner = _waves(angles, _along(a, powers, 0, 1))

    fourth = jnp.sqrt(roots)
    profile = _along(fourth, jnp.arcsinh(roots.reshape(4, 1) + outer), 0, 1)
    cosines = jnp.cos(profile)
    energy = cosines**2
    decay = jnp.exp(corner - jnp.square(waves))

    bent = jnp.cosh(jnp.tanh(b)).T
    sums = (-b).sum(0)
    gaps = sums.reshape(3, 1) - bent
    highest = jnp.arcsinh(energy.sum(0) + (turned.sum(0) / gaps).max(1))
    levels = (_along(bent, gaps, 0, 0) - _along(sums, lax.logistic(highest), 0, 0)).sum(1)

    scaled = jnp.sinh(cosines.reshape(4, 1) * (outer + roots.reshape(4, 1)))
    held = lax.stop_gradient(lax.slice(scaled, (3, 3), (4, 4)))
    bound = jnp.sqrt(jnp.abs(_along(_along(cosines, decay, 0, 0), held, 0, 1)))

    spread = jnp.cosh(jnp.sqrt(energy))
    ripples = jnp.sin(-energy)
    mixed = _along(waves, shifted, 1, 1) * _along(profile, fourth, 0, 0)
    bands = jnp.arctan(spread.reshape(4, 1) + mixed)
    lowest = bands.sum(0).min(0) - bound
    overlap = _along(jnp.square(spread), ripples, 0, 0)
    gates = lax.logistic(_along(ripples.reshape(4, 1) - jnp.sqrt(c), bands, 0, 0))
    blended = _along(gates, profile.reshape(4, 1) + c, 0, 0)
    return weights / energy.reshape(1, 4), lowest, levels, overlap, blended
