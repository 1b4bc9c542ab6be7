"""What a generated file promises its callers: shapes, dtypes, containers, gradients, no silence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from generating import (
    MODELS,
    REPRESENTATIVES,
    ROOT,
    STYLES,
    Generated,
    chosen,
    each,
    generate,
    generate_text,
)

FEW = ("coba_lif", "lif_2023", "research_nested_lists", "research_scan")
FILES = pytest.mark.parametrize("path", each(*MODELS, *STYLES))
DTYPES = {
    "float32": REPRESENTATIVES, "bfloat16": FEW, "weak": REPRESENTATIVES,
    "float16": FEW, "float64": FEW,
}  # fmt: skip
"""With the files that the normal run tries each on."""


def draw(generated: Generated, shape=(), dtype="float32", seed=0) -> list[Any]:
    """A value for each leaf of the arguments; `weak` gives Python's own numbers."""
    random = np.random.default_rng(seed)
    leaves = []
    for i in generated.front.trace.inputs:
        value = random.uniform(0.6, 1.4, shape)
        value = value > 1 if i.dtype == "bool" else np.round(value) if i.dtype == "int32" else value
        if dtype == "weak":
            kind = {"bool": bool, "int32": int}.get(i.dtype, float)
            leaves.append(kind(value))
        else:
            leaves.append(jnp.asarray(value, dtype if i.dtype == "float" else i.dtype))
    return leaves


def apply(generated: Generated, function, leaves) -> Any:
    """Call a function on containers of leaves."""
    positional, keyword = generated.front.signature.bind(leaves)
    return function(*positional, **keyword)


def is_float(leaf) -> bool:
    return jnp.issubdtype(jnp.result_type(leaf), jnp.floating)


def wrt_arguments(generated: Generated, leaves) -> tuple:
    """The arguments that are differentiated, with None for the leaves that are not."""
    inputs = generated.front.trace.inputs
    chosen = [leaf if i.wrt else None for i, leaf in zip(inputs, leaves, strict=True)]
    positional, keyword = generated.front.signature.bind(chosen)
    names = {i.path.split(".")[0] for i in inputs if i.wrt}
    arguments = generated.front.trace.arguments
    values = [*positional, *keyword.values()]
    return tuple(v for a, v in zip(arguments, values, strict=True) if a.name in names)


def describe(tree) -> Any:
    """Structure, shapes and dtypes."""
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(jnp.shape(leaf), jnp.result_type(leaf).name) for leaf in leaves]


def expected_jacobian(generated: Generated, result, leaves) -> Any:
    """The result's pytree, each float leaf a tuple over wrt of leaves like itself."""

    def row(output):
        if not is_float(output):
            return None
        entry = jnp.zeros(jnp.shape(output), jnp.result_type(output))
        return jax.tree.map(lambda _: entry, wrt_arguments(generated, leaves))

    return jax.tree.map(row, result)


@pytest.mark.parametrize(
    ("path", "dtype"),
    [
        pytest.param(*p.values, dtype, id=f"{p.id}-{dtype}", marks=p.marks)
        for dtype, tried in DTYPES.items()
        for p in each(*MODELS, *STYLES, representatives=tried)
    ],
)
def test_shapes_nesting_and_dtypes(path, dtype):
    generated = generate(path)
    with jax.enable_x64(dtype == "float64"):
        leaves = draw(generated, dtype=dtype)
        try:
            wanted = jax.eval_shape(lambda: apply(generated, generated.source, leaves))
        except TypeError:
            pytest.skip("the source does not run in this dtype")
        run = partial(apply, generated)
        value = jax.eval_shape(lambda: run(generated.function(), leaves))
        assert describe(value) == describe(wanted)
        both = jax.eval_shape(lambda: run(generated.function("value_and_jacobian"), leaves))
        jacobian = jax.eval_shape(lambda: run(generated.function("jacobian"), leaves))
        assert describe(both[0]) == describe(wanted)
        assert describe(both[1]) == describe(jacobian)
        assert describe(jacobian) == describe(expected_jacobian(generated, wanted, leaves))
        positional, keyword = generated.front.signature.bind(leaves)
        if keyword:
            return
        ones = jax.tree.map(lambda s: jnp.ones(s.shape, s.dtype), wanted)
        pulled = jax.eval_shape(lambda: generated.function("vjp")(positional, ones))
        assert describe(pulled) == describe(wrt_arguments(generated, leaves))


@FILES
def test_nesting_is_that_of_jacfwd(path):
    generated = generate(path)
    leaves = draw(generated)
    positional, keyword = generated.front.signature.bind(leaves)
    names = {i.path.split(".")[0] for i in generated.front.trace.inputs if i.wrt}
    places = [k for k, a in enumerate(generated.front.trace.arguments) if a.name in names]
    everything = jax.tree.leaves([positional[k] for k in places if k < len(positional)])
    result = generated.source(*positional, **keyword)
    if keyword or not all(map(is_float, [*everything, *jax.tree.leaves(result)])):
        pytest.skip("JAX itself differentiates floats alone")
    try:
        wanted = jax.jit(lambda: jax.jacfwd(generated.source, tuple(places))(*positional))()
    except TypeError:  # a custom_vjp function has no forward mode
        wanted = jax.jit(lambda: jax.jacrev(generated.source, tuple(places))(*positional))()
    got = jax.jit(lambda: generated.function("jacobian")(*positional))()
    assert describe(got) == describe(wanted)
    for one, two in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, two, rtol=2e-4, atol=1e-5)


@FILES
def test_low_precision_beside_python_numbers(path):
    generated = generate(path)
    for dtype in ("float16", "bfloat16"):
        leaves = draw(generated, dtype="weak")
        first = next(k for k, i in enumerate(generated.front.trace.inputs) if i.dtype == "float")
        leaves[first] = jnp.asarray(leaves[first], dtype)
        try:
            wanted = jax.eval_shape(partial(apply, generated, generated.source, leaves))
        except (TypeError, AttributeError):
            # the source does not take such numbers itself
            continue
        value = jax.eval_shape(partial(apply, generated, generated.function(), leaves))
        assert describe(value) == describe(wanted)


@FILES
def test_transformations(path):
    generated = generate(path)
    function = generated.function()
    stacked = draw(generated, (3,))
    rows = [[leaf[k] for leaf in stacked] for k in range(3)]
    wanted = [apply(generated, function, row) for row in rows]
    wanted = jax.tree.map(lambda *leaves: jnp.stack(leaves), *wanted)

    def on_leaves(*leaves):
        return apply(generated, function, leaves)

    direct = on_leaves(*stacked)
    mapped = jax.vmap(on_leaves)(*stacked)
    jitted = jax.jit(on_leaves)(*stacked)
    _, scanned = jax.lax.scan(lambda c, row: (c, on_leaves(*row)), 0, tuple(stacked))
    for found in (direct, mapped, jitted, scanned):
        assert describe(found) == describe(wanted)
        for one, two in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
            np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


def loss(generated: Generated, function, leaves):
    result = apply(generated, function, leaves)
    floats = [leaf for leaf in jax.tree.leaves(result) if is_float(leaf)]
    return sum((k + 1.0) * jnp.sum(leaf) for k, leaf in enumerate(floats))


def gradients(generated: Generated, function, leaves, wrt):
    def of(*chosen):
        given = list(leaves)
        for k, value in zip(wrt, chosen, strict=True):
            given[k] = value
        return loss(generated, function, given)

    places = tuple(range(len(wrt)))
    chosen = [leaves[k] for k in wrt]
    try:
        # compiled as a whole, for what several operations alone take
        return jax.jit(jax.grad(of, places))(*chosen)
    except ValueError as error:
        # JAX's reverse mode does not go through a while loop
        assert "while_loop" in str(error) or "while" in str(error)  # noqa: PT017
        return jax.jit(jax.jacfwd(of, places))(*chosen)


@FILES
def test_gradients_through_the_step(path):
    generated = generate(path)
    wrt = [k for k, i in enumerate(generated.front.trace.inputs) if i.wrt]
    many = draw(generated, (3,))
    shared = [leaf[0] if k == wrt[-1] else leaf for k, leaf in enumerate(many)]
    for leaves in (draw(generated), many, shared):
        vmapped = generated.front.vmapped and leaves is not shared
        if generated.front.vmapped and jnp.ndim(leaves[wrt[0]]):
            if not vmapped:
                continue
            rows = [[leaf[k] for leaf in leaves] for k in range(3)]
            each = [gradients(generated, generated.source, row, wrt) for row in rows]
            wanted = jax.tree.map(lambda *columns: jnp.stack(columns), *each)
        else:
            wanted = gradients(generated, generated.source, leaves, wrt)
        got = gradients(generated, generated.function(), leaves, wrt)
        for one, two, k in zip(got, wanted, wrt, strict=True):
            assert (one.shape, one.dtype) == (leaves[k].shape, leaves[k].dtype)
            finite = np.isfinite(two)
            np.testing.assert_allclose(
                np.where(finite, one, 0), np.where(finite, two, 0), rtol=5e-4, atol=1e-4
            )


def test_state_that_is_held_constant_goes_through_a_scan(tmp_path):
    text = """
import jax

# gradgen: wrt v, x
def step(v, mean, x):
    return 0.9 * v + x - 0.1 * mean, 0.99 * mean + 0.01 * jax.lax.stop_gradient(v)
"""
    generated = generate_text(tmp_path, text)

    def loss(step, v, inputs):
        start = v, jnp.float32(0.2)

        def body(state, x):
            state = step(*state, x)
            return state, state[0]

        return jnp.sum(jax.lax.scan(body, start, inputs)[1])

    given = jnp.float32(0.1), jnp.linspace(0.0, 1.0, 5)
    due = jax.grad(loss, (1, 2))(generated.source, *given)
    found = jax.grad(loss, (1, 2))(generated.function(), *given)
    forward = jax.jacfwd(loss, (1, 2))(generated.function("forward"), *given)
    for one, other, another in zip(found, forward, due, strict=True):
        np.testing.assert_allclose(one, another, rtol=1e-6)
        np.testing.assert_allclose(other, another, rtol=1e-6)
    with pytest.raises(TypeError, match="mean held constant"):
        jax.grad(lambda mean: generated.function()(0.1, mean, 0.5)[0])(0.2)


@FILES
def test_what_is_held_constant_raises(path):
    generated = generate(path)
    leaves = draw(generated)
    for k, i in enumerate(generated.front.trace.inputs):
        if i.wrt or i.dtype != "float":
            continue
        with pytest.raises(TypeError, match=rf"generated with {i.path} held constant"):
            gradients(generated, generated.function(), leaves, [k])
        with pytest.raises(TypeError, match="held constant"):
            jax.jvp(
                lambda x, k=k: loss(
                    generated, generated.function(), [*leaves[:k], x, *leaves[k + 1 :]]
                ),
                (leaves[k],),
                (leaves[k],),
            )


STATE = """
from typing import NamedTuple
import jax.numpy as jnp

class State(NamedTuple):
    v: float
    count: int

def step(state: State, x, gain=0.5):
    v = jnp.where(state.count > 0, 0.0, state.v * x) + gain * x
    spike = v > 1.0
    return State(v, jnp.where(spike, 3, state.count - 1)), spike
"""


def test_the_caller_s_own_namedtuple(tmp_path):
    generated = generate_text(tmp_path, STATE)

    class Own(NamedTuple):
        v: Any
        count: Any

    class Derived(generated.front.signature.classes["State"]):
        pass

    for kind in (Own, Derived):
        state = kind(jnp.float32(0.3), jnp.int32(0))
        result, spike = generated.function()(state, 2.0)
        assert type(result) is kind
        assert (spike.dtype, result.count.dtype) == (jnp.bool_, jnp.int32)
        jacobian, _ = generated.function("jacobian")(state, 2.0)
        assert type(jacobian) is kind
        assert type(jacobian.v[0]) is kind
        assert jacobian.count is None
        assert float(jacobian.v[0].v) == 2.0
        (pulled, _) = generated.function("vjp")(
            (state, jnp.float32(2.0)), (kind(1.0, 0), np.zeros((), jax.dtypes.float0))
        )
        assert type(pulled) is kind
        gradient = jax.grad(lambda s: generated.function()(s, 2.0)[0].v, allow_int=True)(state)
        assert type(gradient) is kind
        assert float(gradient.v) == 2.0


def test_a_keyword_default_that_is_differentiated(tmp_path):
    generated = generate_text(tmp_path, STATE)
    state = generated.front.signature.classes["State"](jnp.float32(0.3), jnp.int32(0))
    with pytest.raises(TypeError, match="held constant"):
        jax.grad(lambda gain: generated.function()(state, 2.0, gain=gain)[0].v)(0.5)


LISTS = """
import jax.numpy as jnp

def step(state, x, tau, *, leak=0.9):
    v, w = state
    # gradgen: wrt state, x, tau, leak
    v = leak * v + x / tau
    return [v, w + v * tau], v > 0.5
"""


@pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
def test_list_state_shared_scalars_and_keywords(tmp_path, shape):
    generated = generate_text(tmp_path, LISTS)
    v, w, x = (jnp.asarray(np.random.default_rng(k).normal(size=shape)) for k in range(3))

    def total(function, state, x, tau, leak):
        state, spike = function(state, x, tau, leak=leak)
        assert isinstance(state, list)
        assert spike.dtype == bool
        return jnp.sum(state[0] * state[1])

    arguments = ([v, w], x, jnp.float32(3.0), jnp.float32(0.8))
    got, wanted = (
        jax.grad(partial(total, function), (0, 1, 2, 3))(*arguments)
        for function in (generated.function(), generated.source)
    )
    assert describe(got) == describe(wanted)
    for one, two in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    left_out = jax.grad(lambda x: jnp.sum(generated.function()([v, w], x, 3.0)[0][1]))(x)
    np.testing.assert_allclose(left_out, jnp.ones(shape), rtol=1e-6)


BLOCKED = """
import runpy, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("gradgen", "libcst", "jinja2", "click", "rich"):
            raise ImportError(f"{name} is out of reach")
sys.meta_path.insert(0, Block())
for path in sys.argv[1:]:
    module = runpy.run_path(path)
    name = module["GRADGEN"]["function"]
    assert callable(module[name]) and callable(module[name + "_vjp"])
import jax.numpy as jnp
print([leaf.tolist() for leaf in module["lif_step"](*jnp.array({given}))])
"""


def test_files_run_where_gradgen_is_not(tmp_path, pytestconfig):
    last = ROOT / "generated" / "lif_grad.py"
    paths = [path for path in last.parent.glob("*.py") if path != last]
    for style in chosen(pytestconfig, *STYLES):
        paths.append(tmp_path / f"{style.stem}_grad.py")
        paths[-1].write_text(generate(style).text, encoding="utf-8")
    given = [[0.25, 2.0], [0.5, 4.0], [1.0, 3.0]]
    code = BLOCKED.replace("{given}", str(given))
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, *map(str, [*paths, last])],
        cwd=tmp_path,
        env={**os.environ, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    outputs = generate(ROOT / "models" / "lif.py").source(*jnp.array(given))
    for found, due in zip(json.loads(done.stdout), outputs, strict=True):
        np.testing.assert_allclose(found, due, rtol=1e-6)


NESTED = """
from typing import NamedTuple

class State(NamedTuple):
    v: float
    w: float

def step(state: State, x, k: int = 2):
    out = State(state.v * x, state.w * 2.0)
    return {"a": out, "b": (state.v + x, None), "c": [state.w], "n": state.v > 1}
"""


class _State(NamedTuple):
    v: Any
    w: Any


def test_vectors_that_are_nested_otherwise_are_refused(tmp_path):
    generated = generate_text(tmp_path, NESTED, emit=("f", "vjp", "jvp"))
    pull, push = generated.function("vjp"), generated.function("jvp")
    one = jnp.float32(1)
    state, two = _State(one, one), (one, one)
    primals = (state, one)
    due = {"a": state, "b": (one, None), "c": [one], "n": None}
    pull(primals, due)
    push(primals, (state, one))
    assert list(push(list(primals), [state, one, None])[1]) == list(due)
    for wrong in (
        {**due, "a": two}, {**due, "a": one}, {**due, "a": None}, {**due, "a": _State(one, None)},
        {**due, "b": (one, one)}, {**due, "b": [one, None]}, {**due, "b": (one,)},
        {**due, "c": (one,)}, {**due, "c": []}, {**due, "c": [[one]]}, {**due, "d": one},
        {k: v for k, v in due.items() if k != "n"}, two, None, one,
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"^step takes .* for .*, not "):
            pull(primals, wrong)
    for wrong in ((two, one), (None, one), (state, None), (_State(None, one), one), (state, [one])):
        with pytest.raises(ValueError, match=r"^step takes .* for (state|x).*, not "):
            push(primals, wrong)
    for wrong in ((), (state,), (state, one, None, None), one):
        with pytest.raises(TypeError, match=r"^step takes .*, not .*"):
            push(primals, wrong)
        with pytest.raises(TypeError, match=r"^step takes .*, not .*"):
            push(wrong, (state, one))
        with pytest.raises(TypeError, match=r"^step takes .*, not .*"):
            pull(wrong, due)


def test_keys_of_random_numbers_are_refused(tmp_path):
    whole = generate_text(tmp_path, "def step(v, x):\n    return v * 2.0 + x\n")
    with pytest.raises(TypeError, match="step takes a float for v, not key<fry>"):
        whole.function()(jax.random.key(0), 1.0)
