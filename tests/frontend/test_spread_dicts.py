"""Dicts that are spread into others: which keys they have."""

from __future__ import annotations

import textwrap
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generating import generate_text

from gradgen.errors import GradgenError
from gradgen.frontend.reading.source import read_source

HEADER = """
import jax
import jax.numpy as jnp

def gates(s):
    return {"n": 0.5 * (s["n"] + jnp.tanh(s["v"])), "h": 1.0}

def current(s, p):
    return p["g"] * s["n"] * (s["v"] - p["e"]) + s.get("bias", 0.5) * s["w"]

"""


def source_of(body: str, signature: str = "state, x") -> str:
    return f"{HEADER}def step({signature}):\n" + textwrap.indent(textwrap.dedent(body), "    ")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("c = {**state, 'b': x}\nreturn c['a'] + c['b']", "{a}"),
        ("c = {**state, 'b': state['v']}\nreturn c['a'] + c['b']", "{a, v}"),
        ("c = {**state, **{'b': x, 'c': x}}\nreturn c['a'] * c['c']", "{a}"),
        ("c = {**state, **gates(state)}\nreturn c['n'] * c['u']", "{n, u, v}"),
        ("c = {**state, **gates(state), 'w': x}\nreturn current(c, {'g': x, 'e': x})",
         "{bias, n, v}"),
        ("c = {**state}\nd = {'b': c['b'], **{**c, 'a': x}, 'b': x}\n"
         "return d['a'] + d['v'] + d['b']",
         "{b, v}"),
        ("c = {**state['cell'], 'b': x}\nreturn c['v'] * c['b']", "{cell:{v}}"),
        ("c = {**state}\nreturn c.get('tau', 1.0) * x", "{tau}"),
        ("c = {**state, 'b': x} if x is None else {**state}\nreturn c['v']", "{v}"),
        ("c = {**state, 'pair': (x, state['v'])}\na, b = c['pair']\nreturn a * b", "{v}"),
        ("c = {**state, 'cell': state['cell']}\nv, w = c['cell']\nreturn v * w + c['u']",
         "{cell:(float, float), u}"),
    ],
)  # fmt: skip
def test_keys_are_followed_through_dicts(body: str, expected: str) -> None:
    source = read_source("m.py", source_of(body), "step")
    assert dict(source.structures)["state"].pretty() == expected


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("c = {'tau': 2.0, **state}\nreturn c['tau'] * state['v']", "spread over another dict"),
        ("c = {**jax.device_get({}), **state}\nreturn c['v']", "spread over another dict"),
        ("c = {**state, 'b': x}\nreturn c['v'] + len(c)", "passed to len"),
        ("c = {**state, 'b': x}\nreturn sum(v for v in c.values()) * c['v']", ".values()"),
        ("c = {**state, 'b': x}\nreturn x", "which keys"),
    ],
)
def test_keys_that_cannot_be_followed(body: str, message: str) -> None:
    with pytest.raises(GradgenError, match="state") as caught:
        read_source("m.py", source_of(body), "step")
    assert message in caught.value.message
    assert "example state=" in (caught.value.hint or "")


STEP = """
c = {**state, **gates(state), "w": x * x}
v = state["v"] + current(c, p)
return {"v": v, "n": c["n"]}, jnp.tanh(v)
"""


def test_other_keys_make_no_difference_to_what_is_generated(tmp_path: Path) -> None:
    found = generate_text(tmp_path, source_of(STEP, "state, p, x"), function="step")
    state = {"v": 0.3, "n": jnp.array([0.2, -0.4]), "bias": 0.7, "seen": jnp.arange(3.0)}
    params = {"g": 1.5, "e": -0.5, "unused": 2.0}

    def loss(step, state, params, x):
        after, out = step(state, params, x)
        return jnp.sum(after["v"] * out + after["n"] ** 2)

    both = [
        jax.value_and_grad(lambda *a, f=f: loss(f, *a), argnums=(0, 1, 2))(state, params, 0.8)
        for f in (found.source, found.function())
    ]
    assert jax.tree.structure(both[0]) == jax.tree.structure(both[1])
    for a, b in zip(*map(jax.tree.leaves, both), strict=True):
        np.testing.assert_allclose(a, b, rtol=2e-6)
