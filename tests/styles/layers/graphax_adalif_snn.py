"""Style of graphax's ADALIF_SNN: two layers of adaptive neurons, a dozen arguments."""

# gradgen: shape x=(n_in,) U1=(h,) U2=(n_out,) a1=(h,) a2=(n_out,) W1=(h, n_in) W2=(n_out, h)
# gradgen: shape V1=(h, h) V2=(n_out, n_out)
# gradgen: next U1=1 U2=2 a1=3 a2=4
# gradgen: range alpha=0.5:1 beta=0.5:1 rho=0.5:1

import jax
import jax.numpy as jnp


@jax.custom_jvp
def surrogate(x):
    return (x > 0.0).astype(x.dtype)


@surrogate.defjvp
def _surrogate(primals, tangents):
    (x,), (t,) = primals, tangents
    return surrogate(x), 1.0 / (1.0 + jnp.pi * x * (jnp.pi * x)) * t


def adalif(U, a, S, alpha, beta, rho, threshold=1.0):
    U_next = alpha * U + S
    A_th = threshold + beta * a
    S_next = surrogate(U_next - A_th)
    return U_next - S_next * A_th, rho * a - S_next, S_next


def adalif_snn(x, U1, U2, a1, a2, W1, V1, W2, V2, alpha, beta, rho):
    i1 = W1 @ x + V1 @ surrogate(U1)
    U1, a1, s1 = adalif(U1, a1, i1, alpha, beta, rho)
    i2 = W2 @ s1 + V2 @ surrogate(U2)
    U2, a2, s2 = adalif(U2, a2, i2, alpha, beta, rho)
    return s2, U1, U2, a1, a2
