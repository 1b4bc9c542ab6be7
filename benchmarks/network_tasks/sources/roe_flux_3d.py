"""The flux between two states of a gas by Roe's linearisation, in three dimensions.

A state is a density, three momenta and an energy (P. L. Roe, Approximate Riemann solvers, parameter
vectors, and difference schemes, 1981). The momenta are one vector: a task of AlphaGrad.
"""

# gradgen: shape rho_l=(1,) m_l=(3,) e_l=(1,) rho_r=(1,) m_r=(3,) e_r=(1,)
# gradgen: range rho_l=0.1:0.2 m_l=0.4:0.6 e_l=0.1:0.3 rho_r=0.1:0.2 m_r=0.4:0.6 e_r=0.1:0.3
import jax.numpy as jnp

GAMMA = 0.5  # as in that task


def _pressure(rho, m, e):
    return (GAMMA - 1.0) * (e - 0.5 * jnp.sum(m**2) / rho)


def _enthalpy(rho, e, p):
    return (e + p) / rho


def _euler(rho, m, velocity, e, p):
    """The flux of one state along the first axis."""
    along = velocity[0:1]
    pressures = jnp.concatenate([p, jnp.zeros(2, p.dtype)])
    return m[0:1], pressures + m * velocity, along * (p + e)


def roe_flux_3d(rho_l, m_l, e_l, rho_r, m_r, e_r):
    """Compute the flux of density, momenta and energy along the first axis."""
    d_rho = rho_r - rho_l
    d_m = m_r - m_l
    d_m1, d_m2, d_m3 = d_m[0:1], d_m[1:2], d_m[2:]
    d_e = e_r - e_l
    v_l, v_r = m_l / rho_l, m_r / rho_r
    norm = jnp.sqrt(rho_l) + jnp.sqrt(rho_r)

    # Roe's averages
    mean = (jnp.sqrt(rho_l) * v_l + jnp.sqrt(rho_r) * v_r) / norm
    u, v, w = mean[0:1], mean[1:2], mean[2:]
    p_l = _pressure(rho_l, m_l, e_l)
    h_l = _enthalpy(rho_l, e_l, p_l)
    p_r = _pressure(rho_r, m_r, e_r)
    h_r = _enthalpy(rho_r, e_r, p_r)
    h = (jnp.sqrt(rho_l) * h_l + jnp.sqrt(rho_r) * h_r) / norm
    q = jnp.sum(mean**2)
    a2 = (GAMMA - 1.0) * (h - 0.5 * q)
    a = jnp.sqrt(a2)

    # the waves, each with its speed
    fast, slow = u + a, u - a
    entropy = ((GAMMA - 1.0) / a2 * ((h - q) * d_rho + jnp.dot(mean, d_m) - d_e)) * u
    shear3 = (d_m3 / w - d_m1) * u
    shear2 = (d_m2 / v - d_rho) * u
    even = d_rho - entropy
    odd = (d_m1 - u * d_rho) / a
    back = 0.5 * (even - odd) * slow
    ahead = 0.5 * (even + odd) * fast

    left = _euler(rho_l, m_l, v_l, e_l, p_l)
    right = _euler(rho_r, m_r, v_r, e_r, p_r)
    f_rho, f_m, f_e = (one + other for one, other in zip(left, right, strict=True))
    j_rho = back + entropy + ahead * fast
    j1 = back * slow + entropy * u + ahead * fast
    j2 = back * v + shear2 * v + entropy * v + ahead * v
    j3 = back * w + shear3 * w + entropy * w + ahead * w
    energy = back * (h - u * a) + shear2 * v**2 + shear3 * w**2
    j_e = energy + entropy * 0.5 * q + ahead * (h + u * a)
    j_m = jnp.concatenate([j1, j2, j3])
    return 0.5 * (f_rho - j_rho), 0.5 * (f_m - j_m), 0.5 * (f_e - j_e)
