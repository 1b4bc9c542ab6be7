"""Random steps with weights inside, of one to three populations of neurons, as people write them.

Leaky, adaptive and voltage-dependent neurons with hard and soft resets, learned decays and
thresholds, masks, transformed, tied and low-rank weights, delays, packed state, lateral inhibition,
recurrent weights, and readouts with and without memory.
"""

from __future__ import annotations

import ast
import textwrap

import hypothesis.strategies as st

AXES = {
    "x": "(batch, m)", "mask": "(m, n)",
    "w": "(m, n)", "r": "(n, n)", "c": "(n, k)", "q": "(k, n)", "o": "(n, k)",
    "s": "(m, 2)", "t": "(2, n)", "b": "(n,)", "tau": "(n,)", "rho": "(n,)", "th": "(n,)",
    "g": "()", "rate": "()", "e": "(k,)", "l": "(k, k)",
}  # fmt: skip
"""Of what a step may be given beside its state."""
_HELD = ("x", "mask")
_DRIVES = (
    "x @ w", "x @ jnp.abs(w)", "x @ (w * mask)", "jnp.tanh(x @ w + b)", "x @ jnp.tanh(0.5 * w.T).T",
    "g * (x @ w)", "x[:, ::-1] @ w", "x @ (s @ t)", "x @ w + jnp.sin(x) @ w",
    "jax.nn.relu(x) @ jax.nn.softplus(w)", 'jnp.einsum("bi,ij->bj", x, w * mask)',
    "x @ (w * jnp.exp(g))", "x @ (w - w.mean(0))", "x @ w[:, ::-1]",
)  # fmt: skip
_DECAYS = (
    "0.9 * {v}", "jax.nn.sigmoid(tau) * {v}", "jnp.exp(-jnp.exp(rate)) * {v}", "{v} * (1.0 - z)",
    "0.8 * {v} * (1.0 - lax.stop_gradient(z))", "{v} * jax.nn.sigmoid({v} - b)",
    "jnp.exp(-tau**2) * jnp.tanh({v})", "{v} / (1.0 + jnp.exp({v}))",
    "jnp.where({v} > 0.2, 0.7 * {v}, 0.9 * {v})", "(1.0 - jax.nn.sigmoid(rho)) * {v}",
)  # fmt: skip
_WITHIN = (
    "0.3 * a", "g * a", "b", "-0.5 * z", "-th * lax.stop_gradient(z)", "b * spike(v - 0.3)",
    "jnp.where(v > 0.2, v, 0.1 * a)", "jnp.sin(v) * a", "0.4 * z * v", "x.sum(-1, keepdims=True)",
    "x[:, :1] * tau", "0.2 * jnp.maximum(v, a)", "jnp.clip(v, -0.5, th**2)", "0.1 * a**2",
)  # fmt: skip
_BETWEEN = (
    "z @ r", "jnp.tanh(v) @ (r * 0.3)", "0.2 * v.mean(-1, keepdims=True)", "(a @ r.T) * g",
    "0.1 * a.sum()", "jax.nn.softmax(v)", "-0.2 * (z.sum(-1, keepdims=True) - z)",
    "z @ (r - jnp.diag(jnp.diag(r)))",
)  # fmt: skip
_SPIKES = (
    "spike(v - 0.5)", "spike(v - 0.2 * a - jnp.abs(g))", "jnp.tanh(v)", "jax.nn.sigmoid(v - b)",
    "spike((v - th) / (1.0 + jnp.abs(th)))", "spike(v - 0.1) * jnp.exp(-rate**2)",
)  # fmt: skip
_ABOVE = (
    "jax.nn.sigmoid(e) * u + z @ o", "0.8 * u + z @ o", "0.5 * u + jnp.tanh(z @ c) + e",
    "0.9 * u + z @ (o + c)", "0.7 * u + z @ jnp.abs(o)", "0.6 * u + z @ o + jnp.tanh(u) @ l",
)  # fmt: skip
_DOWN = ("0.3 * jnp.tanh(u) @ q", "u @ o.T", "0.2 * u.sum(-1, keepdims=True)")
_READOUTS = (
    "z @ c", "(v * a).sum()", "jnp.sum(w**2) * v.mean()", "z * v", "x @ w + v", "z @ r",
    "jax.nn.log_softmax(z @ c)", "jnp.mean((v - 0.1) ** 2, -1)",
)  # fmt: skip
_PACKED = {
    "apart": ("v=(batch, n) a=(batch, n) z=(batch, n)", "v, a, z", "", "v, a, z"),
    "last": (
        "y=(batch, n, 3)",
        "y",
        "    v, a, z = y[..., 0], y[..., 1], y[..., 2]\n",
        "jnp.stack([v, a, z], -1)",
    ),
    "first": (
        "y=(2, batch, n) z=(batch, n)",
        "y, z",
        "    v, a = y\n",
        "jnp.concatenate([v[None], a[None]]), z",
    ),
}
"""Ways to hold the state: shapes, arguments, how they are taken apart and what is returned."""


@st.composite
def steps(draw: st.DrawFn) -> str:
    """The text of a step `f` of the state v, a, z and more, with its directives."""

    def some(pieces: tuple[str, ...], least: int, most: int) -> list[str]:
        return draw(st.lists(st.sampled_from(pieces), min_size=least, max_size=most, unique=True))

    def one(pieces: tuple[str, ...]) -> str:
        return draw(st.sampled_from(pieces))

    def rarely() -> bool:
        return draw(st.integers(0, 3)) == 0

    shapes, state, unpacked, packed = _PACKED[
        draw(st.sampled_from(("apart", "apart", "apart", "last", "first")))
    ]
    current, delay, above = rarely(), rarely(), rarely()
    potential = [*some(_DRIVES, 1, 2), one(_DECAYS).format(v="v"), *some(_WITHIN, 0, 2)]
    potential += [*some(_BETWEEN, 0, 1), *(some(_DOWN, 0, 1) if above else [])]
    lines = []
    if current:
        lines.append(f"i = {one(_DECAYS).format(v='i')} + {potential.pop(0)}")
        potential.append("i")
    if delay:
        # a spike arrives two steps later
        potential.append(one(("d[1] @ r", "0.3 * d[1]", "d[1] * b")))
        lines.append(one(("d = jnp.stack([z, d[0]])", "d = jnp.concatenate([z[None], d[:1]])")))
    adaptation = ["0.4 * a", *some(_WITHIN, 1, 2), *some(_BETWEEN, 0, 1)]
    updates = [
        f"v = jnp.tanh({' + '.join(potential)})",
        f"a = 0.5 * jnp.tanh({' + '.join(adaptation)})",
    ]
    # what is computed first is read by the others
    lines += draw(st.permutations(updates))
    lines.append(f"z = {one(_SPIKES)}")
    if above:
        lines.append(f"u = jnp.tanh({one(_ABOVE)})")
    for present, name, shape in (
        (current, "i", "(batch, n)"),
        (delay, "d", "(2, batch, n)"),
        (above, "u", "(batch, k)"),
    ):
        if present:
            shapes, state, packed = (
                f"{shapes} {name}={shape}",
                f"{state}, {name}",
                f"{packed}, {name}",
            )
    result = ", ".join([packed, *some(_READOUTS, 0, 2)])
    code = "".join(f"    {line}\n" for line in lines) + f"    return ({result},)\n"
    given = [name for name in AXES if name in _names_in(code)]
    learned = [name for name in given if name not in _HELD]
    following = ", ".join(f"{name}={k}" for k, name in enumerate(state.split(", ")))
    return (
        f"# gradgen: shape {shapes}\n"
        f"# gradgen: shape {' '.join(f'{name}={AXES[name]}' for name in given)}\n"
        f"# gradgen: wrt {', '.join([state, *learned])}\n# gradgen: next {following}\n\n"
        f"def f({state}, {', '.join(given)}):\n{unpacked}{code}"
    )


def _names_in(code: str) -> set[str]:
    names = (n for n in ast.walk(ast.parse(textwrap.dedent(code))) if isinstance(n, ast.Name))
    return {name.id for name in names}
