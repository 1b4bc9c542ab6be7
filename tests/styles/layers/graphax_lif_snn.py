"""Style of graphax's LIF_SNN: one example through three layers, and a loss of spikes."""

# gradgen: shape x=(n_in,) target=(n_out,) U1=(h1,) U2=(h2,) U3=(n_out,)
# gradgen: shape W1=(h1, n_in) W2=(h2, h1) W3=(n_out, h2) alpha=() beta=()
# gradgen: wrt U1, U2, U3, W1, W2, W3, alpha, beta
# gradgen: next U1=1.0 U2=1.1 U3=1.2
# gradgen: range alpha=0.5:1 beta=0.5:1

import jax
import jax.numpy as jnp


@jax.custom_jvp
def surrogate(x):
    return jnp.heaviside(x, 1.0)


@surrogate.defjvp
def _surrogate(primals, tangents):
    (x,), (t,) = primals, tangents
    return surrogate(x), t / (1.0 + 10.0 * jnp.abs(x))


def lif(U, I, S, alpha, beta, threshold=1.0):
    U_next = alpha * U + (1.0 - alpha) * (2.0 * I + S)
    return U_next - beta * threshold * surrogate(U - threshold), surrogate(U_next - threshold)


def lif_snn(x, target, U1, U2, U3, W1, W2, W3, alpha, beta):
    U1, a1 = lif(U1, W1 @ x, 0.0, alpha, beta)
    U2, a2 = lif(U2, W2 @ a1, 0.0, alpha, beta)
    U3, a3 = lif(U3, W3 @ a2, 0.0, alpha, beta)
    return 0.5 * jnp.sum((a3 - target) ** 2), (U1, U2, U3)
