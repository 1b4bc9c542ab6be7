"""Random losses with a loop over time."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

HEAD = """
# gradgen: shape xs=(time, batch, m) w=(m, n) r=(n, n) b=(n,) k=() y=(batch, n)
# gradgen: wrt {wrt}
"""
_UNARY = (
    "jnp.tanh({})",
    "jax.nn.sigmoid({})",
    "spike({} - 0.3)",
    "-{}",
    "jnp.sin({})",
    "jnp.clip({}, -1.0, 1.0)",
)
_BINARY = ("{} + {}", "{} - {}", "{} * {}", "jnp.where({} > 0.2, {}, 0.5)", "jnp.maximum({}, {})")
_ENDS = ("({} ** 2).mean()", "jnp.sin({}).sum()", "({} - y).mean()")


@st.composite
def losses(draw: Any) -> str:
    """The text of a loss: its step draws on the carry, the input and the weights."""
    states = draw(st.integers(1, 3))
    names = [f"s{k}" for k in range(states)]
    lines = ["i = x @ w" if draw(st.booleans()) else "i = jnp.tanh(x @ w + b)"]
    known = [*names, "i"]
    # whatever reads more than what it is alone, so that a step has the shape of its carry
    for number in range(draw(st.integers(1, 5))):
        lines.append(f"t{number} = {draw(expressions(tuple(known)))}")
        known.append(f"t{number}")
    after = [draw(st.sampled_from([*known, f"0.5 * {name} + 0.1 * {known[-1]}"])) for name in names]
    # what grows from step to step is rounding in the end
    after = [a if a in names else f"jnp.tanh({a})" for a in after]
    out = draw(st.lists(st.sampled_from(known), max_size=2, unique=True))
    summed = draw(st.sampled_from((True, True, False)))
    carry = "".join(f"{name}, " for name in names) + "total"
    step = [f"{carry} = c", *lines]
    total = "total" if not summed else f"total + {known[-1]} @ r"
    step.append(
        f"return ({''.join(f'{a}, ' for a in after)}{total}), ({''.join(f'{o}, ' for o in out)})"
    )
    start = "".join(draw(st.sampled_from(["z, ", "y, ", "z + b, "])) for _ in names) + "z"
    reverse = ", reverse=True" if draw(st.booleans()) else ""
    end = [f"c, out = lax.scan(step, ({start}), xs{reverse})"]
    parts = [f"c[{k}]" for k in range(states + summed)] + [f"out[{k}][-1]" for k in range(len(out))]
    parts += [f"out[{k}].mean(0)" for k in range(len(out))]
    chosen = draw(st.lists(st.sampled_from(parts), min_size=1, max_size=3, unique=True))
    chosen = list(dict.fromkeys([*chosen, *([parts[states]] if summed else [])]))
    ends = " + ".join(draw(st.sampled_from(_ENDS)).format(part) for part in chosen)
    wrt = draw(st.sampled_from(["w, r, b", "w", "r, k", "w, r, b, k, y", "xs, w, r"]))
    body = "\n        ".join(step)
    return (
        HEAD.format(wrt=wrt)
        + "\ndef f(xs, w, r, b, k, y):\n    z = jnp.zeros_like(y)\n"
        + f"    def step(c, x):\n        {body}\n    "
        + "\n    ".join(end)
        + f"\n    return {ends}\n"
    )


@st.composite
def expressions(draw: Any, known: tuple[str, ...]) -> str:
    """Of the shape of a state."""
    kind = draw(st.sampled_from(["unary", "binary", "binary", "matrix", "scaled", "stopped"]))
    one, other = (draw(st.sampled_from(known)) for _ in range(2))
    if kind == "unary":
        return draw(st.sampled_from(_UNARY)).format(one)
    if kind == "binary":
        return draw(st.sampled_from(_BINARY)).format(one, other)
    if kind == "matrix":
        return f"{one} @ r"
    if kind == "scaled":
        return (
            f"{one} * {draw(st.sampled_from(['b', 'k', '0.9', '(1.0 - k)', 'w.sum()']))} + {other}"
        )
    return f"lax.stop_gradient({one}) * {other}"
