"""Sources that fit float32 alone: traced, written and verified in that, found out or asked for."""

from __future__ import annotations

import importlib
import itertools
import re
from contextlib import suppress
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner
from comparing import WHOLE, _module, compare
from generating import Generated, generate_text, run_text

import gradgen
from gradgen.cli.main import main
from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_generation import generate_arrays
from gradgen.compile.front import open_front
from gradgen.compile.generation import generate
from gradgen.config import Settings
from gradgen.errors import GradgenError
from gradgen.ir.code import shortest_float32
from gradgen.project.configuration import read

HEADER = "import jax\nimport jax.numpy as jnp\nimport numpy as np\n\n"
SPIKE = """
@jax.custom_jvp
def spike(x):
    return (x > 0).astype(jnp.float32)


@spike.defjvp
def _spike_rule(primals, tangents):
    (x,), (t,) = primals, tangents
    return spike(x), t / (10 * jnp.abs(x) + 1) ** 2


"""
EXAMPLE = "\n\ndef example():\n    return (0.3, 0.7), {}\n"
STEP = """def step(v, x, alpha=0.9):
    v = alpha * v + (1 - alpha) * x
    z = spike(v - 0.3)
    return v - 0.1 * z, z


def example():
    return (0.3, 0.7, 0.9), {}
"""

FOUND = {
    "a spike in a rule": (SPIKE + STEP, "float32"),
    "ones and zeros in a rule": (
        SPIKE.replace(
            "(x > 0).astype(jnp.float32)", "jnp.where(x > 0, jnp.float32(1), np.float32(0))"
        )
        + STEP,
        "float32",
    ),
    "residuals of a backward rule": (
        "@jax.custom_vjp\ndef spike(x):\n    return (x > 0).astype(jnp.float32)\n\n\n"
        "spike.defvjp(\n    lambda x: (spike(x), x.astype(jnp.float32)),\n"
        "    lambda x, g: (g / (10 * jnp.abs(x) + 1) ** 2,),\n)\n\n\n" + STEP,
        "float32",
    ),
    "a height and a slope beside Python's": (
        "HEIGHT = np.float32(0.7)\n"
        + SPIKE.replace("t / (", "np.float32(0.3) * t / (1.7 * ").replace(
            "astype(jnp.float32)", "astype(jnp.float32) * HEIGHT"
        )
        + STEP,
        "float32",
    ),
    "a scalar of JAX in an operation that does not promote": (
        "SLOW = jnp.asarray(0.9, jnp.float32)\n\n\ndef step(v, x):\n"
        "    return jax.lax.mul(SLOW, v) + jax.lax.clamp(np.float32(0.1), x, SLOW)\n" + EXAMPLE,
        "float32",
    ),
    "a table": (
        "DECAY = jnp.array([0.9, 0.8], jnp.float32)\n\n\ndef step(v, x):\n"
        "    return jax.lax.dot(DECAY, jax.lax.concatenate([v[None], x[None]], 0)), v * x\n"
        + EXAMPLE,
        "float32",
    ),
    "a default array, made with the module": (
        "DECAY = jnp.array([0.9, 0.8])\n\n\ndef step(v, x):\n"
        "    alpha = jax.lax.clamp(0.5, DECAY[0], 1.0)\n"
        "    return alpha * v + (1.0 - alpha) * x\n" + EXAMPLE,
        "float32 by default",
    ),
    "a named dtype that is promoted to": (
        "def step(v, x):\n    return (v * x + 0.1).astype(jnp.result_type(jnp.float32, v))\n"
        + EXAMPLE,
        None,
    ),
    "a mask in low precision": (
        SPIKE + "def step(v, x, low=-0.7):\n    z = spike(v)\n"
        "    held = (x > 0.1).astype(jnp.bfloat16)\n    return v * held + z * low\n\n\n"
        "def example():\n    return (0.3, 0.7, -0.7), {}\n",
        None,
    ),
    "numbers alone": (
        SPIKE + "def step(v, x):\n"
        "    return spike(v) * x * jnp.exp(jnp.float32(-0.1)), v * jnp.exp(-0.123456789), 0.1\n"
        + EXAMPLE,
        "float32 by default",
    ),
    "a rule with an array of JAX's default dtype": (
        SPIKE.replace("t / (", "jnp.array([0.3])[0] * t / (") + STEP,
        "float32 by default",
    ),
    "integers": (
        SPIKE + "def step(v, x, n, tau=20):\n    z = spike(v) * x / tau\n"
        "    return z + n, jnp.where(z > 0, n + 1, 0)\n\n\n"
        "def example():\n    return (0.3, 0.7, 2, 20), {}\n",
        None,
    ),
}
"""A body, and of which precisions its text is; None where the test does not say."""


def made(folder: Path, body: str, **options: object) -> Generated:
    return generate_text(folder, HEADER + body, **options)


@pytest.mark.parametrize("kind", FOUND)
def test_what_fits_float32_alone_is_as_in_jax(kind: str, tmp_path: Path) -> None:
    """With and without 64-bit types, on numbers of Python and arrays of any dtype."""
    body, precisions = FOUND[kind]
    generated = made(tmp_path, body)
    trace = generated.front.trace
    assert trace.single
    assert precisions in (None, trace.precisions)
    source = lambda: _module("float32_source", HEADER + body)  # noqa: E731
    compare(source, generated.running, generated.front, WHOLE)


@pytest.mark.parametrize("with_64_bits", [False, True])
def test_other_dtypes_are_the_sources_or_a_type_error(with_64_bits: bool, tmp_path: Path) -> None:
    generated = made(tmp_path, SPIKE + STEP)
    step, source = generated.function(), generated.source
    with jax.enable_x64(with_64_bits):
        one = jnp.float32(0.5)
        for arguments in ((one, one), (one, 0.7), (one, one, 0.8), (one, one, one)):
            due = source(*arguments)
            for got, wanted in zip(step(*arguments), due, strict=True):
                assert got.dtype == wanted.dtype
                assert got == wanted
        refused = ["float16", "bfloat16", *(["float64"] if with_64_bits else [])]
        for dtype in refused:
            with pytest.raises(TypeError, match=f"step takes floats of float32 alone, not {dtype}"):
                step(one, jnp.asarray(0.5, dtype))
        with pytest.raises(TypeError, match="takes a float for v, not int32"):
            step(jnp.int32(1), one)


def test_where_64_bit_types_change_the_source_they_are_refused(tmp_path: Path) -> None:
    generated = made(tmp_path, FOUND["a default array, made with the module"][0])
    assert generated.function()(jnp.float32(1), jnp.float32(2)).dtype == "float32"
    with (
        jax.enable_x64(True),
        pytest.raises(TypeError, match="takes float32 where there are no 64-bit types"),
    ):
        generated.function()(jnp.float32(1), jnp.float32(2))


def test_it_is_verified_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(HEADER + SPIKE + STEP)
    found = generate(Settings(str(path)), lambda status: None)
    assert found.report.exact
    assert {tally.dtype for tally in found.report.tallies} == {"float32"}
    assert "for float32 alone" in found.sentence()
    assert "# For float32 alone: it was traced, and compared with JAX, in that." in found.text
    assert run_text(found.text).GRADGEN["dtype"] == "float32"
    assert "options" not in run_text(found.text).GRADGEN


REQUESTED = (
    "def step(v, x, alpha=0.9):\n    return jnp.tanh(0.1 * alpha * v + x / 3).astype(v.dtype)\n"
)


@pytest.mark.parametrize("how", ["option", "directive"])
def test_it_can_be_asked_for(how: str, tmp_path: Path) -> None:
    asked = (("dtype", "float32"),) if how == "option" else ()
    said = "# gradgen: dtype float32\n" if how == "directive" else ""
    path = tmp_path / "model.py"
    path.write_text(HEADER + said + REQUESTED)
    front = open_front(Settings(str(path), directives=asked))
    assert front.trace.single
    assert dict(Settings(str(path), directives=asked).options()) == dict(asked)
    path.write_text(HEADER + REQUESTED)
    assert not open_front(Settings(str(path))).trace.single


def test_another_dtype_cannot_be_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(HEADER + "# gradgen: dtype float16\n" + REQUESTED)
    with pytest.raises(GradgenError, match="'float16' is not float32") as caught:
        open_front(Settings(str(path)))
    assert (caught.value.line, caught.value.hint) == (5, "write it like: # gradgen: dtype float32")


@pytest.mark.usefixtures("trusted")
def test_it_can_be_asked_for_in_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "squaring.py").write_text("def square(v):\n    return 0.1 * v * v\n")
    monkeypatch.syspath_prepend(tmp_path)
    square = importlib.import_module("squaring").square
    with pytest.raises(GradgenError, match="dtype: 'float64' is none of float32"):
        gradgen.differentiate(square, dtype="float64")
    found = gradgen.differentiate(square, dtype="float32")
    assert "0.1 * v" in found.source
    with pytest.raises(TypeError, match="float32 alone"):
        found.f(jnp.bfloat16(1))


def test_numbers_are_as_short_as_they_can_be(tmp_path: Path) -> None:
    generated = made(
        tmp_path,
        "A = np.float32(0.3)\n" + SPIKE + "def step(v):\n    return A * spike(v) + 0.1 * v\n",
    )
    primal = generated.text[generated.text.index("def _primal") :].split("\n\n\n")[0]
    assert "0.3 * " in primal
    assert "0.1 * v" in primal
    digits = max(len(n.replace(".", "")) for n in re.findall(r"\d+\.\d+", generated.text))
    assert digits < 9
    random = np.random.default_rng(0).normal(size=200).astype(np.float32)
    for number in (*random, np.float32(1e-45), np.float32(3.4e38)):
        assert np.float32(shortest_float32(float(number))) == number
        assert len(shortest_float32(float(number))) <= len(str(number)) + 3


BRANCHING = (
    "def step(v, x):\n    if v.dtype == jnp.float32:\n        return v * x\n    return v + x\n"
)
LAYERS = {
    "a branch on the dtype, on scalars": (BRANCHING, "what is computed depends on the dtype"),
    "a number that follows it, on arrays": (
        "# gradgen: shape v=(n,)\ndef step(v):\n"
        "    return v / (jnp.abs(v).sum() + 10 * jnp.finfo(v.dtype).eps)\n",
        "computes with another number",
    ),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_what_depends_on_the_dtype_is_written_for_float32_as_the_hint_says(
    kind: str, tmp_path: Path
) -> None:
    body, message = LAYERS[kind]
    path = tmp_path / "model.py"
    path.write_text(HEADER + body)
    with pytest.raises(GradgenError, match=message) as caught:
        open_front(Settings(str(path)))
    assert caught.value.line
    assert "--dtype float32" in str(caught.value.hint)
    assert open_front(Settings(str(path), directives=(("dtype", "float32"),))).trace.single


def test_low_precision_that_hangs_on_numbers_is_mended_as_the_hint_says(tmp_path: Path) -> None:
    body = SPIKE + (
        "def step(v, x, low=0.7):\n"
        "    scaled = jnp.asarray(low, jnp.float32) * v.astype(jnp.bfloat16)\n"
        "    return spike(v) * x + scaled\n"
    )
    path = tmp_path / "model.py"
    path.write_text(HEADER + body)
    with pytest.raises(GradgenError, match="or in float32, by whether low is a number") as caught:
        open_front(Settings(str(path)))
    assert "jnp.asarray(low, jnp.bfloat16)" in str(caught.value.hint)
    mended = body.replace("jnp.asarray(low, jnp.float32)", "jnp.asarray(low, jnp.bfloat16)")
    path.write_text(HEADER + mended)
    assert open_front(Settings(str(path))).trace.single


ON_ARRAYS = {
    "layer": "# gradgen: shape x=(batch, n_in) w=(n_in, n) v=(batch, n)\n"
    "def step(v, x, w, alpha=0.9):\n    v = alpha * v + x @ w\n    z = spike(v - 0.3)\n"
    "    return v - 0.1 * z, z\n",
    "products of a named dtype": "# gradgen: shape x=(batch, n_in) w=(n_in, n) v=(batch, n)\n"
    "def step(v, x, w):\n    z = jnp.matmul(x, w, preferred_element_type='float32')\n"
    "    return v.astype(jnp.float32) * jnp.tanh(z)\n",
    "a mask of a named dtype": "# gradgen: shape x=(batch, n_in) w=(n_in, n) v=(batch, n)\n"
    "def step(v, x, w):\n    z = (v > 0.3).astype(jnp.float32) * 0.7\n"
    "    return v - z * v + x @ w\n",
    "loss": "MASK = jnp.array([0.1, 0.7, 0.3], jnp.float32)\n\n"
    "# gradgen: shape xs=(time, batch, 3) w=(3, n) v=(batch, n)\n"
    "def step(w, v, xs, alpha=0.9):\n    def one(v, x):\n        v = alpha * v + (x * MASK) @ w\n"
    "        z = spike(v - 0.3)\n        return v - 0.1 * z, z\n\n"
    "    v, zs = jax.lax.scan(one, v, xs)\n    return (zs.mean() - 0.1) ** 2 + v.mean()\n",
}


@pytest.mark.parametrize("kind", ON_ARRAYS)
def test_functions_on_arrays(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    if kind != "layer":
        request.getfixturevalue("trusted")
    path = tmp_path / "model.py"
    path.write_text(HEADER + SPIKE + ON_ARRAYS[kind])
    front = open_front(Settings(str(path)))
    assert isinstance(front, ArrayFront)
    found = generate_arrays(front, lambda status: None)
    assert kind != "layer" or {t.dtype for t in found.report.tallies} == {"float32"}
    assert "for float32 alone" in found.sentence()
    running = run_text(found.text)
    assert running.GRADGEN["dtype"] == "float32"
    random = np.random.default_rng(0)
    shapes = ((3, 4), (2, 4), (5, 2, 3)) if kind == "loss" else ((2, 4), (2, 3), (3, 4))
    leaves = [jnp.asarray(random.normal(size=shape), jnp.float32) for shape in shapes]

    def total(step: object) -> object:
        return lambda *given: sum(jnp.sum(o) for o in jax.tree.leaves(step(*given)))

    due, got = (jax.grad(total(f))(*leaves) for f in (front.function, running.step))
    np.testing.assert_allclose(got, due, 1e-5, 1e-6)
    for dtype, with_64_bits in (("bfloat16", False), ("float64", True), ("float32", True)):
        with jax.enable_x64(with_64_bits), pytest.raises(TypeError, match="takes float"):
            running.step(*(leaf.astype(dtype) for leaf in leaves))


def test_on_arrays_it_is_no_matter_where_something_is_said(tmp_path: Path, trusted: None) -> None:
    """Of two equal expressions, the first is left out in one of the precisions only."""
    path = tmp_path / "model.py"
    path.write_text(
        HEADER + "# gradgen: shape v=(n,) x=(n,)\n"
        "def step(v, x):\n"
        "    f = lambda y: (0.5 * v.astype(jnp.float32) + 0.0 * y).astype(y.dtype)\n"
        "    none = jax.jvp(f, (x,), (x,))[1]\n"
        "    return 0.9 * x + 0.5 * v, none\n"
    )
    front = open_front(Settings(str(path)))
    assert isinstance(front, ArrayFront)
    assert not front.trace.single


ROUNDED = """
# gradgen: shape x=(n,) w=(n, n)
def step(x, w, tau=20.0):
    a = jnp.exp(-jnp.abs(x @ w) / 1.1) + x / 0.03
    b = (1.0 + jnp.abs(x)) ** 1.31 + 1.1 ** x
    return a, (1.0 + jnp.square(b)) ** 1.001 / tau
"""
BESIDE_ONE = """
@jax.custom_jvp
def rule(x):
    return jnp.tanh(x)

@rule.defjvp
def _rule_jvp(primals, tangents):
    eps = jnp.finfo(primals[0].dtype).eps
    u = jnp.clip(jax.nn.sigmoid(primals[0]), eps, 1.0 - eps)
    return rule(primals[0]), tangents[0] * u * (1.0 - u)

# gradgen: shape x=(n,) w=(n, n)
def step(x, w):
    return rule(x @ w)
"""


def test_on_arrays_derivatives_have_numbers_that_are_computed_of_rounded_ones(
    tmp_path: Path,
) -> None:
    """1 / 1.1 and 1.001 - 1, which have other digits where 1.1 and 1.001 are of float32."""
    path = tmp_path / "model.py"
    path.write_text(HEADER + ROUNDED)
    front = open_front(Settings(str(path)))
    assert isinstance(front, ArrayFront)
    found = generate_arrays(front, lambda status: None)
    assert {t.dtype for t in found.report.tallies} == {"float32", "float64"}


def test_on_arrays_a_bound_beside_one_depends_on_the_precision(tmp_path: Path) -> None:
    path = tmp_path / "model.py"
    path.write_text(HEADER + BESIDE_ONE)
    with pytest.raises(GradgenError, match="another number") as caught:
        open_front(Settings(str(path)))
    assert "--dtype float32" in str(caught.value.hint)
    single = open_front(Settings(str(path), directives=(("dtype", "float32"),)))
    assert single.trace.single


def test_what_is_of_all_precisions_stays_so(tmp_path: Path) -> None:
    """A conversion that follows an argument, or one to float32 that float64 takes as well."""
    for spike in ("(v > 0).astype(v.dtype)", "(v > 0).astype(jnp.float32)"):
        generated = made(tmp_path, f"def step(v, x):\n    return v * x + {spike}\n")
        assert generated.front.trace.precisions == "any"
        assert "dtype" not in generated.running.GRADGEN


def test_targets_and_the_command_ask_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("model.py").write_text(HEADER + REQUESTED)
    invoked = CliRunner().invoke(main, ["init", "model.py", "--dtype", "float32"])
    assert invoked.exit_code == 0, invoked.stderr
    text = Path("pyproject.toml").read_text()
    assert 'dtype = "float32"' in text
    (target,) = read(Path("pyproject.toml").resolve()).targets
    assert target.settings.directives == (("dtype", "float32"),)
    Path("pyproject.toml").write_text(text.replace("float32", "float16"))
    refused = CliRunner().invoke(main, [])
    assert "pyproject.toml:4:1: error: 'dtype' is not one of float32" in refused.stderr


@pytest.mark.parametrize("with_64_bits", [False, True])
def test_integers_of_python_are_the_sources_or_a_type_error(
    with_64_bits: bool, tmp_path: Path
) -> None:
    body = SPIKE + (
        "def step(v, x, tau=20):\n    z = spike(v / tau + x)\n    return v + z, x * 3 / tau, z\n"
    )
    generated = made(tmp_path, body)
    step, source = generated.function(), generated.source
    one, taken = jnp.float32(0.3), 0
    with jax.enable_x64(with_64_bits):
        for arguments in itertools.product((one, 0.3, 2), (one, 0.7, 1), (20, 20.5, one)):
            with suppress(TypeError, AttributeError):  # which the source is not for
                due = source(*arguments)
                try:
                    found = step(*arguments)
                except TypeError as error:
                    assert " takes " in str(error)  # noqa: PT017
                    continue
                taken += 1
                for got, wanted in zip(found, due, strict=True):
                    assert got.dtype == jnp.asarray(wanted).dtype, arguments
                    np.testing.assert_allclose(got, wanted, 1e-6)
    assert taken >= 6
