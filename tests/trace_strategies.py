"""Random steps with weights inside: leaky, gated and coupled neurons, masks, shared parameters."""

from __future__ import annotations

import hypothesis.strategies as st

SHAPES = "v=(batch, n) a=(batch, n) z=(batch, n) x=(batch, m) mask=(m, n)"
LEARNED = "w=(m, n) r=(n, n) b=(n,) tau=(n,) g=()"
_DRIVES = (
    "x @ w", "x @ jnp.abs(w)", "x @ (w * mask)", "jnp.tanh(x @ w + b)", "x @ jnp.tanh(0.5 * w.T).T",
    "g * (x @ w)", "x[:, ::-1] @ w",
)  # fmt: skip
_WITHIN = (
    "0.9 * v", "jax.nn.sigmoid(tau) * v", "v * (1.0 - z)", "0.3 * a", "g * a", "b",
    "b * spike(v - 0.3)",
    "jnp.where(v > 0.2, v, 0.1 * a)", "jnp.exp(-tau**2) * jnp.tanh(v)",
    "lax.stop_gradient(z) * b", "jnp.sin(v) * a", "0.5 * z", "x.sum(-1, keepdims=True) * tau",
)  # fmt: skip
_BETWEEN = (
    "z @ r", "jnp.tanh(v) @ (r * 0.3)", "0.2 * v.mean(-1, keepdims=True)", "(a @ r.T) * g",
    "0.1 * a.sum()", "jax.nn.softmax(v)",
)  # fmt: skip
_SPIKES = (
    "spike(v - 0.5)",
    "spike(v - 0.2 * a - jnp.abs(g))",
    "jnp.tanh(v)",
    "jax.nn.sigmoid(v - b)",
)
_READOUTS = ("z @ r", "(v * a).sum()", "jnp.sum(w**2) * v.mean()", "z * v", "x @ w + v")


@st.composite
def steps(draw: st.DrawFn) -> str:
    """The text of a step `f` of the state v, a, z, with its directives."""

    def some(pieces: tuple[str, ...], least: int, most: int) -> list[str]:
        return draw(st.lists(st.sampled_from(pieces), min_size=least, max_size=most, unique=True))

    potential = [*some(_DRIVES, 1, 2), *some(_WITHIN, 1, 3), *some(_BETWEEN, 0, 1)]
    adaptation = ["0.4 * a", *some(_WITHIN, 1, 2), *some(_BETWEEN, 0, 1)]
    lines = [
        f"v = jnp.tanh({' + '.join(potential)})",
        f"a = 0.5 * ({' + '.join(adaptation)})",
        f"z = {draw(st.sampled_from(_SPIKES))}",
    ]
    # what is computed first is read by the others
    order = draw(st.permutations([0, 1]))
    body = "\n".join(f"    {lines[k]}" for k in (*order, 2))
    more = "".join(f", {text}" for text in some(_READOUTS, 0, 2))
    return (
        f"# gradgen: shape {SHAPES}\n# gradgen: shape {LEARNED}\n"
        "# gradgen: wrt v, a, z, w, r, b, tau, g\n# gradgen: next v=0, a=1, z=2\n\n"
        f"def f(v, a, z, x, mask, w, r, b, tau, g):\n{body}\n    return v, a, z{more}\n"
    )
