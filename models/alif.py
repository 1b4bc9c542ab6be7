"""Adaptive leaky integrate-and-fire neuron with a sigmoid spike.

Equations (one step of a fixed length dt):

    U' = alpha U + S
    s  = sigmoid(U' - (th + beta A))
    A' = rho A - s

with alpha = exp(-dt / tau_mem) and rho = exp(-dt / tau_adapt).

This is a smooth variant of the ALIF neuron of Bellec et al. (2020), used as a benchmark for
differentiation. Three things differ from the paper:

- the spike is a sigmoid of the distance to the threshold, where the paper has a Heaviside step
  with a triangular pseudo-derivative;
- A counts spikes downwards: A is minus the paper's adaptation variable a (a' = rho a + z), so the
  paper's rising threshold th + beta_paper a needs beta = -beta_paper, as in the default below;
- the potential is not reset by subtracting th z.

Units: U, A, S, th and beta are dimensionless; alpha and rho are decay factors per step. The
defaults are tau_mem = 20 ms and tau_adapt = 200 ms at dt = 1 ms.

References:
    Bellec, G., Scherr, F., Subramoney, A., Hajek, E., Salaj, D., Legenstein, R., Maass, W. (2020).
    A solution to the learning dilemma for recurrent networks of spiking neurons.
    Nature Communications 11, 3625. doi:10.1038/s41467-020-17236-y
"""

import jax


def alif_step(U, A, S, alpha=0.951, th=1.0, beta=-0.17, rho=0.995):
    """Advance the neuron by one step.

    Args:
        U: membrane potential (dimensionless).
        A: adaptation variable, zero or negative (dimensionless).
        S: input current of this step (dimensionless).
        alpha: membrane decay factor per step, exp(-dt / tau_mem).
        th: baseline threshold (dimensionless).
        beta: change of the threshold per unit of A; negative values adapt.
        rho: adaptation decay factor per step, exp(-dt / tau_adapt).

    Returns:
        (U', A', s): the new potential, the new adaptation and the graded spike between 0 and 1.
    """
    # gradgen: range U=-1:3 A=-20:0 S=-1:1
    # gradgen: range alpha=0.5:0.999 th=0.5:1.5 beta=-2:0 rho=0.9:0.9999
    U_next = alpha * U + S
    threshold = th + beta * A
    s = jax.nn.sigmoid(U_next - threshold)
    A_next = rho * A - s
    return U_next, A_next, s
