"""Shapes that examples and annotations tell, and what is said where they contradict each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from generating import judged

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.front import open_front
from gradgen.config import Settings
from gradgen.errors import GradgenError

HEADER = """
import jax, jax.numpy as jnp
from typing import NamedTuple

class P(NamedTuple):
    w: jax.Array
    b: jax.Array

def ones(*shapes):
    return tuple(map(jnp.ones, shapes))
"""


@dataclass(frozen=True)
class Exampled:
    """A function, arguments for it, and the directive that says as much of the shapes."""

    text: str
    example: str
    directive: str


CASES = {
    "axes of one size that are not one": Exampled(
        "def f(v, x, w, k=0.9):\n    return k * v + x @ w\n",
        "ones((8, 8), (8, 8), (8, 8))",
        "v=(n1, n2) x=(n1, n3) w=(n3, n2)",
    ),
    "a container, and an axis of size one": Exampled(
        "def f(v, p):\n    return P(2.0 * p.w, jnp.tanh(v @ p.w + p.b))\n",
        "jnp.ones((3, 4)), P(*ones((4, 4), (1, 4)))",
        "v=(n1, n2) p.w=(n2, n3) p.b=(1, n3)",
    ),
    "labels and a key": Exampled(
        "def f(v, labels, key, k):\n"
        "    v = v + k * jax.random.normal(key, v.shape)\n"
        "    return -jax.nn.log_softmax(v)[jnp.arange(v.shape[0]), labels].mean()\n",
        "jnp.ones((3, 3)), jnp.zeros(3, int), jax.random.key(0), 0.1",
        "v=(n1, n2) labels=(n1,):int key=():key",
    ),
    "labels that an index would leave behind": Exampled(
        "def f(v, w, labels):\n"
        "    v = jnp.tanh(v @ w)\n"
        "    return -jax.nn.log_softmax(v)[jnp.arange(labels.shape[0]), labels].mean()\n",
        "*ones((16, 5), (5, 10)), jnp.zeros(16, int)",
        "v=(n1, n2) w=(n2, n3) labels=(n1,):int",
    ),
    "a size that the code fixes": Exampled(
        "def f(x):\n    return sum(x[k] ** 2 for k in range(x.shape[0])) + jnp.arange(5.0)\n",
        "ones((3, 5))",
        "x=(3, 5)",
    ),
    "a mean": Exampled("def f(v):\n    return v - v.mean()\n", "ones((3,))", "v=(n,)"),
    "how many neurons there are": Exampled(
        "def f(v):\n    return v / v.size\n", "ones(3)", "v=(n,)"
    ),
    "windows that stay open": Exampled(
        "def f(x, w):\n"
        "    return jax.lax.conv_general_dilated(x, w, (1, 1), 'SAME')\n",
        "ones((2, 3, 8, 8), (4, 3, 5, 5))",
        "x=(n1, n2, n3, n4) w=(n5, n2, n6, n7)",
    ),
    "what a directive leaves out": Exampled(
        "# gradgen: shape w=(n_in, n)\ndef f(v, x, w):\n    return v + x @ w\n",
        "{'v': jnp.ones((8, 8)), 'x': jnp.ones((8, 8))}",
        "v=(n1, n) x=(n1, n_in)",
    ),
}  # fmt: skip


def front_of(folder: Path, text: str, example: str | None = None, *shapes: str) -> Any:
    """The front of a source whose function `f` has these arguments, and these shapes."""
    path = folder / "model.py"
    path.write_text(f"{HEADER}\n{text}\n\ndef arguments():\n    return {example}\n")
    given = None if example is None else f"{path}:arguments"
    directives = tuple(("shape", shape) for shape in shapes)
    return open_front(Settings(str(path), "f", directives, given))


@pytest.mark.parametrize("name", CASES)
def test_an_example_says_what_a_directive_does(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    front = front_of(tmp_path, case.text, case.example)
    assert isinstance(front, ArrayFront)
    assert front.found == f"# gradgen: shape {case.directive}"
    stated = front_of(tmp_path, case.text, None, case.directive)
    assert isinstance(stated, ArrayFront)
    assert stated.found is None
    assert stated.trace == front.trace


def test_arrays_in_an_example_leave_neurons_alone(tmp_path: Path) -> None:
    text = "def f(v, i, k=2):\n    return v + (i - v) / 10.0 ** k\n"
    front = front_of(tmp_path, text, "ones((3, 4), (3, 4))")
    assert front.trace == front_of(tmp_path, text).trace


TYPES = """
import dataclasses
from typing import TYPE_CHECKING, Optional, TypedDict

if TYPE_CHECKING:
    from jaxtyping import Array, Float, Int

    Rows = Float[Array, "batch n_in"]

class Layer(NamedTuple):
    w: Float[Array, "n_in n"]
    b: "Float[Array, ' n']"

@jax.tree_util.register_dataclass
@dataclasses.dataclass
class State:
    v: Float[Array, "batch n"]
    labels: Int[Array, "batch"]
    name: str = dataclasses.field(default="s", metadata=dict(static=True))

class Both(TypedDict):
    layer: Layer
    rows: Rows | None

def f(
    state: State, both: Both, pair: tuple[Float[Array, ""], Optional[Float[Array, "m"]]], scale=2.0
):
    v = state.v * pair[0] + jnp.tanh(both["rows"] @ both["layer"].w + both["layer"].b)
    return v, v[jnp.arange(v.shape[0]), state.labels].sum() * pair[1] * scale
"""


def test_shapes_are_those_of_annotated_fields(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    path = tmp_path / "model.py"
    path.write_text(f"from __future__ import annotations\n{HEADER}{TYPES}")
    front = open_front(Settings(str(path), "f"))
    assert isinstance(front, ArrayFront)
    paths = [i.path for i in front.trace.inputs]
    assert dict(zip(paths, front.trace.shapes, strict=True)) == {
        "state.v": ("batch", "n"),
        "state.labels": ("batch",),
        "both.layer.w": ("n_in", "n"),
        "both.layer.b": ("n",),
        "both.rows": ("batch", "n_in"),
        "pair.0": (),
        "pair.1": ("m",),
        "scale": (),
    }
    report = judged(front, pytestconfig)
    assert report.exact, report.pretty()


def test_a_directive_goes_before_an_annotation_and_that_before_an_example(tmp_path: Path) -> None:
    text = (
        "def f(v: Float[Array, 'a b'], x: Float[Array, 'b c'], y: Float[Array, '*b'], z):\n"
        "    return (v + x * y * z).sum()\n"
    )
    types = "from typing import Any\nFloat = dict\nArray = Any\n"
    example = "ones((3, 4), (3, 4), (3, 4), (3, 4))"
    front = front_of(tmp_path, types + text, example, "v=(b, c)", "y=(b, c)")
    assert front.found == "# gradgen: shape z=(b, c)"
    assert set(front.trace.shapes) == {("b", "c")}


@dataclass(frozen=True)
class Contradiction:
    """Statements that cannot both be true, and how one of them is mended."""

    text: str
    message: str
    at: str
    mended: tuple[str, str]


ANNOTATED = "Float, Array = dict, jax.Array\n"
CONTRADICTIONS = {
    "directive and annotation": Contradiction(
        f"{ANNOTATED}# gradgen: shape v=(n,) x=(3, n)\n"
        "def f(v: Float[Array, '3 n'], x):\n    return v * x\n",
        "the shape of 'v' is stated as (n,), and its annotation says (3, n)",
        "# gradgen: shape v",
        ("v=(n,)", "v=(3, n)"),
    ),
    "directive and the dtype of an annotation": Contradiction(
        f"{ANNOTATED}# gradgen: shape v=(b, n):int32 x=(b, n)\n"
        "def f(v: Float[Array, 'b n'], x):\n    return v - v.mean() + x\n",
        "the shape of 'v' is stated as (b, n):int32, and its annotation says (b, n)",
        "# gradgen: shape v",
        ("(b, n):int32", "(b, n)"),
    ),
    "directive and example": Contradiction(
        "# gradgen: shape v=(batch, 5) x=(batch, 4)\ndef f(v, x):\n    return v * x.sum()\n",
        "the shape of 'v' is stated as (batch, 5), and the example's is (3, 4)",
        "# gradgen: shape v",
        ("v=(batch, 5)", "v=(batch, 4)"),
    ),
    "directive and the dtype of an example": Contradiction(
        "# gradgen: shape v=(batch, n):int x=(batch, n)\ndef f(v, x):\n    return v * x.sum()\n",
        "the shape of 'v' is stated as (batch, n):int, and the example's is (3, 4)",
        "# gradgen: shape v",
        ("n):int", "n)"),
    ),
    "one axis of two sizes": Contradiction(
        "# gradgen: shape v=(n, n) x=(n, n)\ndef f(v, x):\n    return v * x.sum()\n",
        "the shape of 'v' is stated as (n, n), and the example's is (3, 4), where 'n' cannot be 3 "
        "as in 'v'",
        "# gradgen: shape v",
        ("v=(n, n) x=(n, n)", "v=(m, n) x=(m, n)"),
    ),
    "an annotation of any size": Contradiction(
        f"{ANNOTATED}def f(v: Float[Array, '_ n'], x):\n    return v - v.mean() + x\n",
        "'_' is not an axis",
        "def f(v",
        ("'_ n'", "'batch n'"),
    ),
    "an annotation whose axes are none": Contradiction(
        f"{ANNOTATED}def f(v: Float[Array, '*b n'], x):\n    return v - v.mean() + x\n",
        "'*b' is not an axis",
        "def f(v",
        ("def f", "# gradgen: shape v=(batch, n)\ndef f"),
    ),
    "what cannot be traced": Contradiction(
        "def f(v, x):\n    return v @ x\n",
        "TypeError: dot_general requires contracting dimensions to have the same shape, got (4,) "
        "and (3,)",
        "return v @ x",
        ("v @ x", "v @ x.T"),
    ),
}


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_what_contradicts_an_example_or_an_annotation(name: str, tmp_path: Path) -> None:
    case = CONTRADICTIONS[name]
    example = "ones((3, 4), (3, 4))"
    with pytest.raises(GradgenError) as refused:
        front_of(tmp_path, case.text, example)
    error = refused.value
    assert case.message in error.message
    assert error.hint
    line = Path(error.path or "").read_text().splitlines()[(error.line or 0) - 1]
    assert case.at in line
    assert isinstance(front_of(tmp_path, case.text.replace(*case.mended), example), ArrayFront)


def test_a_contradiction_on_the_command_line_is_about_that(tmp_path: Path) -> None:
    with pytest.raises(GradgenError) as refused:
        front_of(tmp_path, "def f(v):\n    return v.sum()\n", "ones((3, 4))", "v=(n,)")
    assert refused.value.about == "shape"


def test_arrays_that_are_of_no_numbers(tmp_path: Path) -> None:
    with pytest.raises(GradgenError) as refused:
        front_of(tmp_path, "def f(v):\n    return v.sum()\n", "(jnp.ones(3, complex),)")
    assert refused.value.message == "the argument 'v' holds an array of dtype complex64"
    assert refused.value.hint == "arrays are of one of: float, bool, int, uint8, uint32, key"
