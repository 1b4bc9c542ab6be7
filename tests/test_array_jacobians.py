"""The whole Jacobian of functions on arrays, term by term and dense, compared with JAX."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from array_sources import HEADER, SOURCES
from array_strategies import array_programs
from generating import judged
from hypothesis import HealthCheck, Phase, given, seed, settings
from projects import gradgen
from test_arrays import pair

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_generation import judge_arrays
from gradgen.compile.array_programs import array_module
from gradgen.compile.front import open_front
from gradgen.config import Settings
from gradgen.errors import GradgenError
from gradgen.ir.code import is_float
from gradgen.targets.jax.render import render_arrays

JACOBIANS = ("jacobian", "jacobian_entries", "value_and_jacobian")
APPLIED = {
    "split, concatenate and stack",
    "convolution",
    "convolution with named channels",
    "maximum over windows",
    "mean over windows",
    "gather and scatter",
    "reductions and cumulative sums",
    "roll, pad, reverse, transpose, reshape",
    "delay line",
    "masked recurrent weights",
    "sort",
    "a sum whose cotangent is stretched along two axes",
    "the same result twice",
}
"""Sources that apply what is never stored between two arrays."""
REPRESENTATIVES = {
    "recurrent adaptive layer",
    "cross-entropy by indices",
    "loss with what else is to be known",
    "NamedTuple state",
    "sizes and a float of its own among the results",
    "arguments that are returned as they are",
}
"""Of the others, those of the normal run."""
BOTH_ENDS = """
# gradgen: shape x=(n,) a=()
# gradgen: wrt x, a


def f(x, a):
    moved = jnp.cumsum(jnp.tanh(a) * jnp.ones(x.shape, x.dtype))
    return jnp.sin(moved) * x, jnp.sum(jnp.cumsum(jnp.exp(x)) ** 2) * a, moved
"""
"""A number that an operator meets on the way to arrays, and arrays on the way to a number."""


def dense(spelled, term, shape):
    """A term element by element."""
    rows, columns, held = spelled
    found = np.zeros(shape)
    for place in itertools.product(*map(range, shape)):
        at = {}
        if all(at.setdefault(c, k) == k for c, k in zip(rows + columns, place, strict=True)):
            found[place] = term[tuple(at[c] for c in held)]
    return found


def compare(made, sizes):
    """Every entry against `jax.jacrev` of the source, at some sizes."""
    trace = made.front.trace
    wrt = [k for k, i in enumerate(trace.inputs) if i.wrt]
    floats = [k for k, o in enumerate(trace.outputs) if is_float(o.dtype)]

    def everything(leaves):
        def along(*chosen):
            given = list(leaves)
            for k, value in zip(wrt, chosen, strict=True):
                given[k] = value
            results = made.flat(made.source, given)
            return [jnp.asarray(results[k]) for k in floats]

        due = jax.jacrev(along, tuple(range(len(wrt))))(*(leaves[k] for k in wrt))
        positional, keyword = made.front.signature.bind(leaves)
        names = ("_jacobian", "_value_and_jacobian", "_jacobian_entries")
        found = [made.function(name)(*positional, **keyword) for name in names]
        return due, along(*(leaves[k] for k in wrt)), *found

    with jax.enable_x64(True):
        leaves = made.leaves(sizes, "float64", np.random.default_rng(3))
        options = {"xla_backend_optimization_level": 0}
        program = jax.jit(everything).lower(leaves).compile(options)
        due, outputs, nested, (_, again), entries = program(leaves)
    assert jax.tree.structure(nested) == jax.tree.structure(again)
    flat = iter(jax.tree.leaves(nested))
    stated = made.generated.GRADGEN["entries"]
    assert set(stated) == set(entries)
    for row, number, output in zip(due, floats, outputs, strict=True):
        for entry, k in zip(row, wrt, strict=True):
            ends = trace.outputs[number].path, trace.inputs[k].path
            found = next(flat)
            assert (found.shape, found.dtype) == (entry.shape, output.dtype)
            accuracy = 1e-12 * np.abs(entry).max(initial=1.0)
            np.testing.assert_allclose(found, entry, rtol=0, atol=accuracy)
            terms = zip(stated.get(ends, ()), entries.get(ends, ()), strict=True)
            total = sum((dense(s, np.asarray(t), entry.shape) for s, t in terms), 0.0)
            np.testing.assert_allclose(total, entry, rtol=0, atol=accuracy)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name",
    [
        name if name in APPLIED | REPRESENTATIVES else pytest.param(name, marks=pytest.mark.full)
        for name in SOURCES
    ],
)
def test_equals_jax(name, tmp_path):
    if name in APPLIED:
        with pytest.raises(GradgenError, match="goes through"):
            pair(tmp_path, SOURCES[name], emit=JACOBIANS)
        return
    made = pair(tmp_path, SOURCES[name], emit=JACOBIANS)
    compare(made, (2, 3, 1, 2, 2))


@pytest.mark.full
@pytest.mark.filterwarnings("ignore")
def test_random_programs():
    compared, refused = [], []

    @seed(0)
    @settings(
        max_examples=100,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(array_programs())
    def one(text):
        with tempfile.TemporaryDirectory() as folder:
            try:
                made = pair(Path(folder), text, emit=JACOBIANS)
            except GradgenError as error:
                refused.append(error.message)
                return
            compare(made, (2, 3, 2, 2, 3, 2))
            compared.append(text)

    one()
    assert len(compared) > 40
    assert all("goes through" in message for message in refused)


def test_numbers_at_one_end_meet_operators(tmp_path):
    made = pair(tmp_path, BOTH_ENDS, emit=JACOBIANS)
    assert made.generated.GRADGEN["orders"]["value_and_jacobian"]["order"] != "reverse"
    compare(made, (4,))


@pytest.mark.parametrize(
    "name",
    [
        "feed-forward layer",
        pytest.param("loss with what else is to be known", marks=pytest.mark.full),
    ],
)
def test_verifies(name, tmp_path, pytestconfig):
    path = tmp_path / "model.py"
    path.write_text(HEADER + SOURCES[name])
    front = open_front(Settings(str(path), emit=("f", "value_and_grad", *JACOBIANS)))
    assert isinstance(front, ArrayFront)
    report = judged(front, pytestconfig)
    assert report.exact, report.pretty()


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("jnp.asarray(next(values), ", "2 * jnp.asarray(next(values), "),
        (".add(spread)", ".set(spread)"),
        ('"orders"', '"entries_by_hand"'),
        ('(("ab", "ab", "ab"),', '(("ab", "ba", "ab"),'),
    ],
)
def test_a_wrong_term_is_found(right, wrong, tmp_path):
    path = tmp_path / "model.py"
    path.write_text("# gradgen: shape x=(3, 3)\n\ndef f(x):\n    return x * x.T + x * x\n")
    front = open_front(Settings(str(path), emit=JACOBIANS))
    module = array_module(front)
    text = render_arrays(module)
    assert right in text
    found = judge_arrays(front, module, text.replace(right, wrong), quick=True)
    assert found.exact == (wrong == '"entries_by_hand"')


@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.full), "bfloat16"])
def test_under_transformations(dtype, tmp_path):
    text = "# gradgen: shape x=(b, i) w=(i, o)\n\ndef f(x, w):\n    return jnp.tanh(x @ w)\n"
    made = pair(tmp_path, f"\n{text}", emit=JACOBIANS)
    x, w = (jnp.ones(shape, dtype) / 4 for shape in ((2, 3), (3, 5)))
    jacobian = made.function("_jacobian")
    plain = jacobian(x, w)
    assert [a.dtype for a in plain] == [x.dtype] * 2
    mapped = jax.jit(jax.vmap(jacobian, (0, None)))(jnp.stack([x, x]), w)
    for one, both in zip(plain, mapped, strict=True):
        np.testing.assert_allclose(
            np.asarray(both[0], float),
            np.asarray(one, float),
            rtol=1e-6 if dtype != "bfloat16" else 0.05,
        )


def test_the_example_of_the_documentation(tmp_path):
    text = "# gradgen: shape x=(batch, m) w=(m, n)\n\ndef f(x, w):\n    return x @ w\n"
    made = pair(tmp_path, f"\n{text}", emit=JACOBIANS)
    assert made.generated.GRADGEN["entries"] == {
        ("out", "x"): (("bn", "bm", "nm"),),
        ("out", "w"): (("bn", "mn", "bm"),),
    }
    x, w = jnp.arange(6.0).reshape(2, 3), jnp.arange(12.0).reshape(3, 4)
    entries = made.function("_jacobian_entries")(x, w)
    np.testing.assert_array_equal(entries["out", "w"][0], x)
    np.testing.assert_array_equal(entries["out", "x"][0], w.T)


def test_only_who_asks_gets_them(tmp_path):
    made = pair(tmp_path, SOURCES["feed-forward layer"])
    assert made.function("_jacobian") is None
    assert "entries" not in made.generated.GRADGEN


def test_a_pair_through_an_operator_names_it_and_the_hint_helps(trusted, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(
        "# gradgen: shape x=(n,) a=(n,)\nimport jax.numpy as jnp\n\n\n"
        "def f(x, a):\n    y = jnp.sin(x)\n    return a * jnp.cumsum(y)\n"
    )
    command = ("model.py", "-o", "out.py")
    asked = (*command, "--emit", "f,jacobian")
    refused = gradgen(*asked)
    assert refused.exit_code == 2
    assert (
        "model.py:7:16: error: the Jacobian of out by x goes through cumsum, which is applied to "
        "vectors and never stored" in refused.stderr
    )
    assert "--wrt, or leave jacobian out of --emit: f_vjp and f_jvp" in refused.stderr
    assert not Path("out.py").exists()
    assert gradgen(*asked, "--wrt", "a").exit_code == 0
    assert gradgen(*command).exit_code == 0
