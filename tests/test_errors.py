"""What bad input gets: a place, one sentence, a hint, exit code 2, and no file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gradgen.cli import main

HEADER = "import jax\nimport jax.numpy as jnp\nfrom jax import lax\n\n\n"

# name: (source after the header, line below the header, what the message says, what the hint says)
CASES = {
    "several candidates": (
        "def a(v):\n    return v * 2.0\n\n\ndef b(v):\n    return v * 3.0\n",
        1,
        "several functions could be meant: a, b",
        "--function",
    ),
    "an import error": (
        "import not_there\n\n\ndef f(v):\n    return v\n",
        1,
        "No module named 'not_there'",
        "executed",
    ),
    "an argument that hides a name": (
        "def f(v, type):\n    return v * type\n",
        1,
        "the argument 'type' hides a name that the generated functions need",
        "rename it",
    ),
    "a function that fails": (
        "def f(v):\n    raise ValueError('not today')\n",
        2,
        "ValueError: not today",
        "example",
    ),
    "a function that cannot be traced": (
        "def f(v):\n    return v + jnp.ones((2, 3)) @ jnp.ones((2,))\n",
        2,
        "cannot be traced on scalars",
        "example",
    ),
    "control flow on data": (
        "def f(v, i):\n    x = v + i\n    if x > 0:\n        return x\n    return -x\n",
        3,
        "branches in Python on a value",
        "jnp.where",
    ),
    "an unsupported primitive": (
        "def f(v, i):\n    x = jnp.stack([v, i])\n    return jnp.sort(x)[0]\n",
        3,
        "the primitive 'sort' is not supported",
        None,
    ),
    "noise inside": (
        "def f(v):\n    return v + jax.random.normal(jax.random.key(0), jnp.shape(v))\n",
        2,
        "the primitive 'random_",
        "pass it in as an argument",
    ),
    "a loop without a static trip count": (
        "def f(v):\n    return lax.while_loop(lambda s: s < 9.0, lambda s: s * 2.0, v)\n",
        2,
        "loop without a static trip count",
        "fori_loop",
    ),
    "a loop that is too long": (
        "def f(v):\n    return lax.fori_loop(0, 5000, lambda k, s: s * 0.99, v)\n",
        2,
        "5,000 iterations is longer than the 1,024",
        "shorten",
    ),
    "no float output": ("def f(v):\n    return v > 0\n", 1, "'f' returns no float", "float output"),
    "no float input": ("def f(n: int):\n    return n * 2.0\n", 1, "no float argument", "float"),
    "no dependence": (
        "def f(v, i):\n    return jnp.floor(v), jnp.sign(i)\n",
        1,
        "no output of 'f' depends differentiably on v, i",
        "--wrt",
    ),
    "a mean over neurons": (
        "def f(v):\n    w = v * 2.0\n    return v - jnp.mean(w)\n",
        3,
        "'reduce_sum' mixes different neurons",
        "--per-neuron",
    ),
    "a dot product over neurons": (
        "def f(v, w):\n    return v + jnp.dot(v, w)\n",
        2,
        "'dot_general' mixes different neurons",
        "--per-neuron",
    ),
    "a roll over neurons": (
        "def f(v):\n    return v + jnp.roll(v, 1)\n",
        2,
        "mixes different neurons",
        "--per-neuron",
    ),
    "a neuron's number": (
        "def f(v):\n    return v + jnp.arange(jnp.size(v)).reshape(jnp.shape(v))\n",
        1,
        "not the same function of one neuron and of each",
        "--per-neuron",
    ),
    "the number of neurons": (
        "def f(v):\n    return v / jnp.size(v)\n",
        1,
        "not the same function of one neuron and of each",
        "--per-neuron",
    ),
    "a rule that is not linear": (
        "@jax.custom_vjp\ndef spike(x):\n    return (x > 0).astype(x.dtype)\n\n\n"
        "spike.defvjp(lambda x: (spike(x), x), lambda x, g: (jnp.clip(g, -1.0, 1.0),))\n\n\n"
        "def f(v):\n    return spike(v - 1.0)\n",
        6,
        "the backward rule of 'spike' is not linear in its cotangents",
        "optimiser",
    ),
    "a rule that fails": (
        "@jax.custom_jvp\ndef spike(x):\n    return jnp.tanh(x)\n\n\n"
        "@spike.defjvp\ndef _rule(primals, tangents):\n    raise RuntimeError('no rule')\n\n\n"
        "def f(v):\n    return spike(v - 1.0)\n",
        8,
        "the derivative rule of 'spike' fails: RuntimeError: no rule",
        None,
    ),
    "a primitive without a derivative": (
        "def f(v, w):\n    return lax.igamma_grad_a(v, w) * v\n",
        2,
        "JAX has no derivative of the primitive 'igamma_grad_a'",
        "stop_gradient",
    ),
    "complex numbers": (
        "def f(v):\n    return jnp.abs(v + 1j)\n",
        2,
        "complex numbers are not supported",
        None,
    ),
    "a branch on the dtype": (
        "def f(v):\n    return v * 2.0 if v.dtype == jnp.float32 else v * 3.0\n",
        2,
        "a constant depends on the dtype",
        "finfo",
    ),
    "an argument that is no number": (
        "def f(v, mode):\n    if mode == 'soft':\n        return v * 2.0\n    return v\n",
        1,
        "'mode' is not a number and has no default",
        "--static mode=VALUE",
    ),
    "an index that is traced": (
        "def f(v, k: int):\n    return v * jnp.array([1.0, 2.0, 3.0])[k]\n",
        2,
        "an index depends on a traced value",
        "constants",
    ),
    "a structure that cannot be told": (
        "def f(state, x):\n    return [s + x for s in state]\n",
        2,
        "the structure of 'state' cannot be told",
        "# gradgen: example",
    ),
    "a directive for nobody": (
        "# gradgen: wrt u\ndef f(v):\n    return v * 2.0\n",
        1,
        "names 'u', which is not an argument",
        "v",
    ),
    "a range of nobody": (
        "def f(v):\n    # gradgen: range v.x=0:1\n    return v * 2.0\n",
        2,
        "a range for 'v.x', which is no input",
        "v",
    ),
    "a container that cannot be built": (
        "@jax.tree_util.register_pytree_node_class\nclass Box:\n"
        "    def __init__(self, v):\n        self.v = v\n\n"
        "    def tree_flatten(self):\n        return (self.v,), None\n\n"
        "    @classmethod\n    def tree_unflatten(cls, _, v):\n        return cls(*v)\n\n\n"
        "def f(v):\n    return Box(v * 2.0)\n",
        14,
        "returns a Box, which a generated file cannot build",
        "NamedTuples",
    ),
}


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.mark.parametrize("name", CASES)
def test_bad_source(name: str, tmp_path: Path) -> None:
    body, line, message, hint = CASES[name]
    source, output = tmp_path / "model.py", tmp_path / "out.py"
    source.write_text(HEADER + body)
    output.write_text("# as it was\n")
    result = run(source, "-o", output)
    assert result.exit_code == 2, result.stderr
    assert output.read_text() == "# as it was\n"
    assert {p.name for p in tmp_path.iterdir()} == {"model.py", "out.py"}
    first, *rest = result.stderr.strip().splitlines()
    place = re.match(rf"{re.escape(str(source))}:(\d+):(\d+): error: (.*)$", first)
    assert place is not None, result.stderr
    assert int(place[1]) == line + HEADER.count("\n"), result.stderr
    assert int(place[2]) >= 1
    assert message in place[3]
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    if hint is None:
        assert rest == [] or rest[0].startswith("  hint: ")
    else:
        assert rest[0].startswith("  hint: ")
        assert hint in rest[0]


def test_no_such_file() -> None:
    result = run("nowhere.py")
    assert result.exit_code == 2
    assert result.stderr.startswith("nowhere.py: error: cannot read the source file")


def test_a_syntax_error_has_its_place(tmp_path: Path) -> None:
    source = tmp_path / "model.py"
    source.write_text("def f(v:\n    return v\n")
    result = run(source)
    assert result.exit_code == 2
    assert f"{source}:1:6: error: not valid Python" in result.stderr


def test_no_such_function(tmp_path: Path) -> None:
    source = tmp_path / "model.py"
    source.write_text("def lif_step(v):\n    return v * 2.0\n")
    for arguments in ((source, "--function", "lif_stop"), (f"{source}:lif_stop",)):
        result = run(*arguments)
        assert result.exit_code == 2
        assert "there is no function 'lif_stop'" in result.stderr
        assert "lif_step" in result.stderr


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (("--wrt", "u"), "'u', which is not an argument"),
        (("--static", "u=1"), "'u', which is not an argument"),
        (("--static", "v=1+"), "not a Python expression"),
        (("--static", "v=nothing"), "cannot be evaluated: NameError"),
        (("--range", "v=3:1"), "range"),
        (("--example", "nowhere.py:f"), "cannot read the example file"),
        (("--order", "nowhere.json"), "cannot read the order"),
    ],
)
def test_bad_options(option: tuple[str, str], message: str, tmp_path: Path) -> None:
    source = tmp_path / "model.py"
    source.write_text("def f(v, w):\n    return v * w\n")
    result = run(source, *option)
    assert result.exit_code == 2, result.stderr
    assert "error: " in result.stderr
    assert message in result.stderr


def test_an_example_that_is_no_text(tmp_path: Path) -> None:
    source, example = tmp_path / "model.py", tmp_path / "example.py"
    source.write_text("def f(v, w):\n    return v * w\n")
    example.write_bytes(b"def example():\n    return 1.0, 2.0  # \xe9\n")
    result = run(source, "--example", f"{example}:example")
    assert result.exit_code == 2
    assert f"{example}: error: the example file is not UTF-8 text (byte 38)" in result.stderr


def test_an_order_for_another_graph(tmp_path: Path) -> None:
    one, two, order = tmp_path / "one.py", tmp_path / "two.py", tmp_path / "order.json"
    one.write_text("import jax.numpy as jnp\n\n\ndef f(v):\n    return jnp.tanh(v * v)\n")
    two.write_text("import jax.numpy as jnp\n\n\ndef f(v):\n    return jnp.exp(v * 2.0)\n")
    order.write_text(run("show", one, "--stage", "order").stdout)
    assert run(one, "--order", order, "-o", tmp_path / "out.py").exit_code == 0
    result = run(two, "--order", order, "-o", tmp_path / "other.py")
    assert result.exit_code == 2
    assert "this order is for another graph" in result.stderr
    assert not (tmp_path / "other.py").exists()
    order.write_text("{}")
    result = run(one, "--order", order)
    assert result.exit_code == 2
    assert "this is no stored order" in result.stderr


def test_the_source_is_never_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "model.py"
    source.write_text("def f(v):\n    return v * 2.0\n")
    result = run(source, "-o", source)
    assert result.exit_code == 2
    assert "would overwrite the source" in result.stderr
    assert source.read_text() == "def f(v):\n    return v * 2.0\n"


def test_an_output_that_cannot_be_written(tmp_path: Path) -> None:
    source = tmp_path / "model.py"
    source.write_text("def f(v):\n    return v * 2.0\n")
    result = run(source, "-o", tmp_path / "missing" / "out.py")
    assert result.exit_code == 2
    assert f"there is no folder '{tmp_path / 'missing'}'" in result.stderr
    assert f"mkdir -p {tmp_path / 'missing'}" in result.stderr
    result = run(source, "-o", tmp_path)
    assert result.exit_code == 2
    assert "the output is a folder" in result.stderr


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    source = tmp_path / "model.py"
    source.write_text("def f(v):\n    return v > 0\n")
    result = run(source, "--debug")
    assert result.exit_code == 1
    assert "returns no float" in str(result.exception)
