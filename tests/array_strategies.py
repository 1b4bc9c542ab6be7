"""Random functions on arrays: contractions, reductions, broadcasts, slices, gathers, rules."""

from __future__ import annotations

from dataclasses import dataclass, field

import hypothesis.strategies as st

Axes = tuple[str, ...]

ARGUMENTS: dict[str, Axes] = {
    "x": ("batch", "n"),
    "u": ("batch", "m"),
    "w": ("n", "m"),
    "r": ("n", "n"),
    "b": ("n",),
    "s": (),
}
_UNARY = (
    "jnp.tanh({0})", "jnp.sin({0})", "jax.nn.relu({0})", "jax.nn.sigmoid({0})", "jnp.abs({0})",
    "({0} ** 2)", "(-{0})", "(0.3 * {0})", "spike({0} - 0.1)", "vspike({0})",
    "lax.stop_gradient({0})", "jnp.exp(jnp.clip({0}, -2.0, 2.0))", "jnp.where({0} > 0, {0}, 0.1)",
    "({0} / 1.1)", "(jnp.abs({0}) + 0.3) ** 1.31", "jnp.exp(-({0} ** 2) / 0.03)",
    "jax.nn.softplus({0})", "({0} / (1.0 + jnp.abs({0})))", "jnp.nan_to_num({0})",
    "({0}[..., None] * jnp.array([0.5, -1.0, 2.0])).sum(-1)",
    "lax.top_k(jnp.stack([{0}, 0.5 * {0}, {0} + 0.1], -1), 2)[0].sum(-1)",
)  # fmt: skip
_BINARY = (
    "({0} + {1})", "({0} - {1})", "({0} * {1})", "jnp.maximum({0}, {1})",
    "jnp.where({0} > {1}, {0}, 0.5 * {1})", "({0} / (2.0 + jnp.cos({1})))",
)  # fmt: skip
_SAME_SHAPE = (
    "jnp.concatenate([{0}, {1}], -1)[..., : {0}.shape[-1]]",
    "jnp.stack([{0}, {1}])[1]",
    "jnp.stack([{0}, {1}], -1).sum(-1)",
    "lax.sort(({0}, {1}), num_keys=1)[1]",
)
_WITH_AXES = (
    "jax.nn.softmax({0}, axis={k})", "jnp.cumsum({0}, axis={k})", "jnp.roll({0}, 1, {k})",
    "jnp.flip({0}, {k})", "({0} - {0}.mean({k}, keepdims=True))",
    "({0} / (1.0 + {0}.max({k}, keepdims=True) ** 2))", "jnp.sort({0}, {k})",
    "jnp.take_along_axis({0}, jnp.argsort({0}, {k}), {k})",
    "jnp.tile({0}, 2)[..., : {0}.shape[-1]]",
)  # fmt: skip
_REDUCED = ("{0}.sum({k})", "{0}.mean({k})", "{0}.max({k})", "jax.nn.logsumexp({0}, {k})")
_INDEXED = (
    "{0}[idx]", "{0}[0]", "{0}.at[idx].add(1.0)", "{0}.at[idx].set(0.5)", "{0}[-1:]", "{0}[-1]",
    "{0}[jnp.array([0, -1, 0])]", "{0}.at[idx].max(0.2)", "{0}.at[0].multiply(0.5)",
    "jax.ops.segment_sum(jnp.sin({0})[idx], idx, num_segments={0}.shape[0])",
)  # fmt: skip


@dataclass
class _Program:
    """Lines of a function under construction, and what its names are shaped like."""

    lines: list[str] = field(default_factory=list)
    names: dict[str, Axes] = field(default_factory=lambda: dict(ARGUMENTS))

    def add(self, expression: str, axes: Axes) -> None:
        name = f"t{len(self.lines)}"
        self.lines.append(f"    {name} = {expression}")
        self.names[name] = axes

    def shaped(self, *allowed: Axes) -> list[str]:
        """Names with one of these shapes, the latest first."""
        return [name for name in reversed(self.names) if self.names[name] in allowed]

    def with_axes(self) -> list[str]:
        """Names of arrays that have axes, the latest first."""
        return [name for name in reversed(self.names) if self.names[name]]


@st.composite
def array_programs(draw: st.DrawFn) -> str:
    """The text of a function `f` of x, u, w, r, b, s and the indices idx, with its directives."""
    program = _Program()
    for _ in range(draw(st.integers(2, 9))):
        _STEPS[draw(st.sampled_from(sorted(_STEPS)))](draw, program)
    latest = list(reversed(program.names))[: draw(st.integers(1, 3))]
    # something has a derivative, whatever has been stopped
    if draw(st.booleans()):
        result = " + ".join(("s", *(f"{name}.sum()" for name in latest)))
    else:
        result = f"({', '.join((*latest, 's'))})"
    shapes = " ".join(
        f"{n}=({', '.join(a)}{',' if len(a) == 1 else ''})" for n, a in ARGUMENTS.items()
    )
    given = ", ".join((*ARGUMENTS, "idx"))
    lines = "\n".join(program.lines)
    return (
        f"# gradgen: shape {shapes}\n# gradgen: shape idx=(k,):int32\n"
        f"# gradgen: wrt {', '.join(ARGUMENTS)}\n\ndef f({given}):\n{lines}\n    return {result}\n"
    )


def _recent(draw: st.DrawFn, names: list[str]) -> str:
    return draw(st.sampled_from(names[:6]))


def _elementwise(draw: st.DrawFn, program: _Program) -> None:
    name = _recent(draw, list(reversed(program.names)))
    program.add(draw(st.sampled_from(_UNARY)).format(name), program.names[name])


def _joined(draw: st.DrawFn, program: _Program) -> None:
    one = _recent(draw, list(reversed(program.names)))
    axes = program.names[one]
    fitting = program.shaped(*(axes[k:] for k in range(len(axes) + 1)))
    pair = [one, _recent(draw, fitting)]
    if draw(st.booleans()):
        pair.reverse()
    program.add(draw(st.sampled_from(_BINARY)).format(*pair), axes)


def _same(draw: st.DrawFn, program: _Program) -> None:
    one = _recent(draw, program.with_axes())
    other = _recent(draw, program.shaped(program.names[one]))
    program.add(draw(st.sampled_from(_SAME_SHAPE)).format(one, other), program.names[one])


def _along(draw: st.DrawFn, program: _Program) -> None:
    name = _recent(draw, program.with_axes())
    axes = program.names[name]
    k = draw(st.integers(-1, len(axes) - 1))
    program.add(draw(st.sampled_from(_WITH_AXES)).format(name, k=k), axes)


def _reduced(draw: st.DrawFn, program: _Program) -> None:
    name = _recent(draw, program.with_axes())
    axes = program.names[name]
    k = draw(st.integers(0, len(axes) - 1))
    kept = (*axes[:k], *axes[k + 1 :])
    program.add(draw(st.sampled_from(_REDUCED)).format(name, k=k), kept)


def _indexed(draw: st.DrawFn, program: _Program) -> None:
    name = _recent(draw, program.with_axes())
    axes = program.names[name]
    text = draw(st.sampled_from(_INDEXED))
    leading = {"{0}[idx]": ("k",), "{0}[0]": (), "{0}[-1]": (), "{0}[-1:]": ("1",)}
    leading["{0}[jnp.array([0, -1, 0])]"] = ("3",)
    found = {text: (*first, *axes[1:]) for text, first in leading.items()}
    program.add(text.format(name), found.get(text, axes))


def _contracted(draw: st.DrawFn, program: _Program) -> None:
    one = _recent(draw, program.with_axes())
    axes = program.names[one]
    matrices = [n for n in program.with_axes() if len(program.names[n]) == 2]
    fitting = [n for n in matrices if program.names[n][0] == axes[-1]]
    if fitting and draw(st.booleans()):
        other = _recent(draw, fitting)
        program.add(f"{one} @ {other}", (*axes[:-1], program.names[other][1]))
    elif len(axes) == 2:
        alike = [n for n in matrices if program.names[n][1] == axes[1]]
        other = _recent(draw, alike)
        text = draw(st.sampled_from(("{0} @ {1}.T", 'jnp.einsum("ij,kj->ik", {0}, {1})')))
        program.add(text.format(one, other), (axes[0], program.names[other][0]))


def _moved(draw: st.DrawFn, program: _Program) -> None:
    name = _recent(draw, program.with_axes())
    axes = program.names[name]
    if len(axes) == 2 and draw(st.booleans()):
        program.add(f"{name}.T", axes[::-1])
    elif len(axes) == 2:
        program.add(f"jax.vmap(lambda row: jnp.tanh(row) * row.sum())({name})", axes)
    else:
        program.add(f"{name}.reshape(-1).sum()", ())


_STEPS = {
    "elementwise": _elementwise,
    "joined": _joined,
    "same": _same,
    "along": _along,
    "reduced": _reduced,
    "indexed": _indexed,
    "contracted": _contracted,
    "moved": _moved,
}
