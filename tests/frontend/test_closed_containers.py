"""What else is in a container that is passed: ignored where it does not matter, else refused.

Each function is held against its source, run by JAX with the same arguments.
"""

from __future__ import annotations

import textwrap
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generating import Generated, generate_text, run_text

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_programs import array_module
from gradgen.compile.front import open_front
from gradgen.config import Settings
from gradgen.errors import GradgenError
from gradgen.ir.pytree import Aspect, Structure, join
from gradgen.targets.jax.render import render_arrays

HEADER = """
from typing import NamedTuple

import jax
import jax.numpy as jnp

class Both(NamedTuple):
    kept: dict
    out: float

def same(s):
    return s

@jax.jit
def read(s, x):
    return s["v"] * x

"""


def source_of(body: str, signature: str = "state, x", example: str | None = None) -> str:
    above = "" if example is None else f"# gradgen: example {example}\n"
    return f"{HEADER}{above}def step({signature}):\n" + textwrap.indent(body, "    ")


def refused(function: Callable[..., Any], *arguments: Any) -> str | None:
    """Why a call is refused; None if it is not."""
    try:
        function(*arguments)
    except (ValueError, TypeError, LookupError) as error:
        return str(error)
    return None


def assert_same(found: Any, due: Any) -> None:
    # a generated module has the classes of its source for itself
    assert str(jax.tree.structure(found)) == str(jax.tree.structure(due))
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


def aspects(structure: Structure, path: str) -> Iterator[tuple[str, tuple[Aspect, ...]]]:
    """What is closed within an argument, by path."""
    if structure.closed:
        yield path, structure.closed
    for key, child in zip(structure.keys, structure.children, strict=True):
        yield from aspects(child, join(path, key))


def closed(found: Generated) -> dict[str, tuple[Aspect, ...]]:
    arguments = found.front.trace.arguments
    return dict(pair for a in arguments for pair in aspects(a.structure, a.name))


WHOLE = {
    "returned": "return state, state['v'] * x",
    "nested": "return x * state['v'], ([state], 1.0)",
    "in a class": "return Both(state, state['v'] * x)",
    "through a helper": "return same(state), state['v'] * x",
    "spread": "return {**state, 'v': state['v'] * x}",
    "spread and kept": "return state['v'] * x, {'kept': {**state}}",
    "by dict": "return dict(state, v=state['v'] * x)",
    "by an operator": "return state | {'v': state['v'] * x}",
    "mapped": "return jax.tree.map(lambda p: p * x, state)",
    "copied": "new = state.copy()\nnew['v'] = state['v'] * x\nreturn new",
    "counted": "return state['v'] * x * len(state)",
    "counted elsewhere": "y = x\nfor c in [{**state}]:\n    y = y * len(c)\nreturn state['v'] * y",
    "keys": "for k in state:\n    x = x * state[k]\nreturn x",
    "items": "return {k: p * x for k, p in state.items()}",
    "values": "a, b = state.values()\nreturn a - 2.0 * b * x",
    "the first": "return next(iter(state.values())) * x",
    "searched": "return state['v'] * (x if 'gain' in state else 2.0 * x)",
    "asked for": "return state['v'] * x * sum(state.get(f'w{k}', 1.0) for k in range(3))",
    "with a default": "return state['v'] * x * {**state}.get('gain', state['v'])",
    "branching": "s = [{**state}]\nfor c in s:\n    x = x if c.get('gain', 1.0) > 0.5 else -x\n"
    "return state['v'] * x",
    "numbers alone": "n = (float, jax.Array)\n"
    "return x * sum(p for p in state.values() if isinstance(p, n))",
    "by a rule": "@jax.custom_jvp\ndef own(v):\n    return 2.0 * v\n"
    "own.defjvp(lambda p, t: (own(*p), t[0] * len(state)))\nreturn own(state['v']) * x",
}
UNKNOWN = {
    *("by dict", "by an operator", "mapped", "counted", "keys", "items", "values", "the first"),
    *("searched", "asked for", "numbers alone", "by a rule"),
}
"""Where the code does not tell which keys there are."""
PASSED = (
    {"b": 0.4, "v": 0.3},
    {"v": 0.3, "b": 0.4},
    {"b": 0.4, "v": 0.3, "gain": 3.0},
    {"b": 0.4, "v": 0.3, "w1": 2.0},
    {"a": 0.4, "b": 0.4, "v": 0.3, "z": 1.0},
    OrderedDict(b=0.4, v=0.3),
    OrderedDict(v=0.3, b=0.4),
    defaultdict(float, b=0.4, v=0.3),
)


@pytest.mark.parametrize("kind", WHOLE)
def test_a_dict_that_is_used_whole_is_the_source_s_or_refused(tmp_path: Path, kind: str) -> None:
    text = source_of(WHOLE[kind], example="state={v, b}")
    found = generate_text(tmp_path, text, function="step")
    step = found.function()
    assert_same(step(PASSED[0], 0.5), found.source(PASSED[0], 0.5))
    for state in PASSED:
        if refused(step, state, 0.5) is None:
            assert_same(step(state, 0.5), found.source(state, 0.5))
    for state in PASSED[2:5]:
        said = refused(step, state, 0.5) or ""
        assert "state" in said
        assert all(key in said for key in state), said


@pytest.mark.parametrize("kind", WHOLE)
def test_without_an_example_so_are_the_keys_that_are_read(tmp_path: Path, kind: str) -> None:
    if kind in UNKNOWN:
        with pytest.raises(GradgenError, match="cannot be told") as caught:
            generate_text(tmp_path, source_of(WHOLE[kind]), function="step")
        assert "example state=" in (caught.value.hint or "")  # which the other test follows
        return
    found = generate_text(tmp_path, source_of(WHOLE[kind]), function="step")
    step = found.function()
    for state in ({"v": 0.3}, {"v": 0.3, "gain": 0.7}, *PASSED):
        if refused(step, state, 0.5) is None:
            assert_same(step(state, 0.5), found.source(state, 0.5))


@pytest.mark.parametrize(
    "body",
    [
        "return state['v'] * x + state['b']",
        "return read(state, x), state['b']",
        "c = {**state, 'w': x}\nreturn read(c, x) * c['b'] + c['w']",
        "return read(same(state), x) * state['b']",
    ],
)
def test_keys_that_do_not_matter_are_ignored(tmp_path: Path, body: str) -> None:
    found = generate_text(tmp_path, source_of(body), function="step")
    assert not closed(found)
    for state in PASSED:
        assert_same(found.function()(state, 0.5), found.source(state, 0.5))


def test_every_function_refuses_and_says_what(tmp_path: Path) -> None:
    found = generate_text(tmp_path, source_of(WHOLE["spread"]), function="step")
    more = {"v": 0.3, "seen": 1.0}
    for name in ("", "value_and_jacobian", "jacobian", "jacobian_entries", "forward"):
        with pytest.raises(ValueError, match=r"\('v',\) in state, not \('seen', 'v'\)"):
            found.function(name)(more, 0.5)
    for name, second in (("vjp", {"v": 1.0}), ("jvp", ({"v": 1.0}, 1.0))):
        with pytest.raises(ValueError, match=r"\('v',\) in state, not \('seen', 'v'\)"):
            found.function(name)((more, 0.5), second)
    with pytest.raises(ValueError, match="not"):
        jax.grad(lambda s: found.function()(s, 0.5)["v"])(more)
    # the hint works
    text = source_of(WHOLE["spread"], example="state={v, seen}")
    again = generate_text(tmp_path, text, function="step")
    by_jax, ours = (
        jax.grad(lambda s, f=f: f(s, 0.5)["v"] * 2.0)(more)
        for f in (again.source, again.function())
    )
    assert_same(ours, by_jax)


def test_what_goes_by_the_order_of_keys_takes_that_of_jax(tmp_path: Path) -> None:
    text = source_of(WHOLE["values"], example="state={v, b}")
    found = generate_text(tmp_path, text, function="step")
    state = {"v": 0.3, "b": 0.4}
    with pytest.raises(ValueError, match="state with its keys in the order b, v"):
        found.function()(state, 0.5)
    assert_same(jax.jit(found.function())(state, 0.5), jax.jit(found.source)(state, 0.5))


class Named(NamedTuple):
    v: float
    w: float


@pytest.mark.parametrize(
    ("body", "example", "due"),
    [
        ("return state, state[0] * x", None, {"state": ("class", "parts")}),
        ("v, w = state\nreturn state, v * x", None, {"state": ("class",)}),
        ("v, w = state\nreturn v * x, w", None, {}),
        ("return state[-1] * x", "state=(v, w)", {"state": ("parts",)}),
        ("return sum(state) * x", "state=(v, w)", {"state": ("parts",)}),
        ("for v in state:\n    x = x * v\nreturn x", "state=[v, w]", {"state": ("parts",)}),
        ("return [v * x for v in state]", "state=[v, w]", {"state": ("parts",)}),
        ("return jax.tree.map(jnp.tanh, state), x", "state=[v, w]", {"state": ("class", "parts")}),
        ("return state[0] * x + state[1]", "state=[v, w]", {}),
    ],
)
def test_sequences_too(tmp_path: Path, body: str, example: str | None, due: Any) -> None:
    found = generate_text(tmp_path, source_of(body, example=example), function="step")
    assert closed(found) == due
    step = found.function()
    for state in ((0.3,), (0.3, 0.4), [0.3], [0.3, 0.4], Named(0.3, 0.4)):
        if refused(step, state, 0.5) is None:
            assert_same(step(state, 0.5), found.source(state, 0.5))
    for longer in ((0.3, 0.4, 0.5), [0.3, 0.4, 0.5]):
        if refused(step, longer, 0.5) is None and refused(found.source, longer, 0.5) is None:
            assert_same(step(longer, 0.5), found.source(longer, 0.5))


def test_an_array_that_is_taken_apart_and_returned_stays_what_it_is(tmp_path: Path) -> None:
    body = "v, w = y\nreturn y, v * w * x"
    found = generate_text(tmp_path, source_of(body, "y: jax.Array, x"), function="step")
    assert_same(found.function()((0.3, 0.4), 0.5), found.source((0.3, 0.4), 0.5))
    with pytest.raises(TypeError, match="a tuple for y, not list"):
        found.function()([0.3, 0.4], 0.5)


def test_containers_in_containers_are_told_apart(tmp_path: Path) -> None:
    body = "c, p = state['c'], state['p']\nreturn {**c, 'v': c['v'] * x * p[0]['g']}"
    text = source_of(body, example="state={c:{v}, p:[{g}]}")
    found = generate_text(tmp_path, text, function="step")
    assert closed(found) == {"state.c": ("parts",)}
    state = {"c": {"v": 0.3}, "p": [{"g": 0.4, "h": 1.0}, 3.0], "z": 2.0}
    assert_same(found.function()(state, 0.5), found.source(state, 0.5))
    with pytest.raises(ValueError, match=r"in state\.c, not \('u', 'v'\)"):
        found.function()(state | {"c": {"v": 0.3, "u": 0.1}}, 0.5)


CELL = """
import jax
import jax.numpy as jnp

class Cell:
    def __init__(self):
        self.gains = {"a": jnp.float32(0.2), "b": jnp.float32(0.3)}
        self.layers = [jnp.float32(0.5), jnp.float32(0.7)]
        self.read = {"a": jnp.float32(0.2)}

    def step(self, v, x):
        for w in self.layers:
            v = v * w
        return v + self.read["a"] * x * sum(jax.tree.leaves(self.gains))
"""


def test_containers_of_an_object_are_held_to_the_same(tmp_path: Path) -> None:
    found = generate_text(tmp_path, CELL, function="Cell.step")
    step, cell = found.function(), run_text(CELL).Cell()
    cell.read["unread"] = jnp.float32(1.0)
    assert_same(step(cell, 0.1, 0.5), cell.step(0.1, 0.5))
    cell.layers.append(jnp.float32(0.9))
    with pytest.raises(ValueError, match=r"2 in self\.layers, not 3"):
        step(cell, 0.1, 0.5)
    del cell.layers[-1]
    cell.gains["c"] = jnp.float32(0.9)
    with pytest.raises(ValueError, match=r"in self\.gains, not \('a', 'b', 'c'\)"):
        step(cell, 0.1, 0.5)


LAYER = """
c = {**state, "drive": x @ w}
v = c["v"] * 0.9 + c["drive"]
return RESULT, jnp.tanh(v)
"""


@pytest.mark.parametrize("result", ["{'v': v}", "{**state, 'v': v}"])
def test_layers_refuse_and_ignore_the_same(tmp_path: Path, result: str) -> None:
    path = tmp_path / "m.py"
    shapes = "# gradgen: shape state.v=(batch, n) w=(n_in, n) x=(batch, n_in)\n"
    path.write_text(shapes + source_of(LAYER.replace("RESULT", result), "state, w, x"))
    front = open_front(Settings(str(path), function="step"))
    assert isinstance(front, ArrayFront)
    step = run_text(render_arrays(array_module(front))).step
    state, others = {"v": jnp.full((2, 3), 0.3)}, (jnp.full((4, 3), 0.2), jnp.full((2, 4), 0.1))
    assert_same(step(state, *others), front.function(state, *others))
    more = state | {"seen": jnp.ones(3)}
    if "**" not in result:
        assert_same(step(more, *others), front.function(more, *others))
        return
    with pytest.raises(ValueError, match=r"\('v',\) in state, not \('seen', 'v'\)"):
        step(more, *others)


NETWORK = """
import jax
import jax.numpy as jnp

# gradgen: shape layers.0=(n, n) layers.1=(n, n) x=(n,)
# gradgen: example layers=[a, b]
def loss(layers, x):
    for w in layers:
        x = jnp.tanh(x @ w)
    return jnp.sum(x)
"""


def test_a_network_takes_as_many_layers_as_it_was_generated_for(tmp_path: Path) -> None:
    path = tmp_path / "m.py"
    path.write_text(NETWORK)
    front = open_front(Settings(str(path), function="loss"))
    assert isinstance(front, ArrayFront)
    loss = run_text(render_arrays(array_module(front))).loss
    layer, x = jnp.full((3, 3), 0.2), jnp.ones(3)
    for layers in ([layer] * 2, (layer,) * 2):
        assert_same(loss(layers, x), front.function(layers, x))
    with pytest.raises(ValueError, match="2 in layers, not 3"):
        loss([layer] * 3, x)
