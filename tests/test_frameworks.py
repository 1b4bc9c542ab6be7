"""Losses over time in the styles of frameworks: their state and their modules as arguments."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from generating import ROOT, judged, run_text

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_programs import array_module
from gradgen.compile.front import open_front
from gradgen.config import Settings
from gradgen.errors import GradgenError
from gradgen.targets.jax.render import render_arrays

NETWORKS = ROOT / "examples" / "networks"
LOOP = """
import equinox as eqx, flax, haiku as hk, jax, jax.numpy as jnp
from flax import nnx

def total(w, xs, tau=0.9):
    def step(v, x):
        v = tau * v + x @ w
        return v, jnp.tanh(v)

    return jnp.mean(jax.lax.scan(step, jnp.zeros((xs.shape[1], w.shape[1])), xs)[1] ** 2)

def ones(*shape):
    return jnp.ones(shape)
"""


@dataclass(frozen=True)
class Made:
    """A source, what its module defines, and the generated module."""

    front: ArrayFront
    source: dict[str, Any]
    generated: Any

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Those of the example, with random numbers in place of floats."""
        leaves, tree = jax.tree.flatten(self.source["arguments"]())
        rng = np.random.default_rng(0)
        drawn = [
            jnp.asarray(rng.normal(size=leaf.shape), leaf.dtype)
            if hasattr(leaf, "shape") and jnp.issubdtype(leaf.dtype, jnp.floating)
            else leaf
            for leaf in leaves
        ]
        return jax.tree.unflatten(tree, drawn)


def made(path: Path) -> Made:
    """What is generated for `loss` in a file; nothing is verified."""
    front = open_front(Settings(str(path), "loss", example=f"{path}:arguments"))
    assert isinstance(front, ArrayFront)
    text = render_arrays(array_module(front))
    return Made(front, runpy.run_path(str(path)), run_text(text))


def written(folder: Path, text: str) -> Path:
    path = folder / "source.py"
    path.write_text(LOOP + text)
    return path


def agree(found: Any, due: Any) -> None:
    assert jax.tree.structure(found) == jax.tree.structure(due)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "kind", "gradient"),
    [
        ("nnx", nnx.State, jax.grad),
        pytest.param("haiku", dict, jax.grad, marks=pytest.mark.full),
        pytest.param("equinox", eqx.Module, eqx.filter_grad, marks=pytest.mark.full),
    ],
)
def test_gradients_come_as_the_framework_has_parameters(
    name: str, kind: type, gradient: Callable[..., Any]
) -> None:
    case = made(NETWORKS / f"{name}_network.py")
    params, xs, labels = case.arguments
    xs, labels = xs[:7, :3], jnp.asarray([0, 1, 1], jnp.int32)
    due = eqx.filter_jit(gradient(case.source["loss"]))(params, xs, labels)
    _, (found,) = jax.jit(lambda xs: case.generated.loss_value_and_grad(params, xs, labels))(xs)
    assert isinstance(found, kind)
    agree(jax.tree.map(jnp.asarray, found), jax.tree.map(jnp.asarray, due))
    agree(eqx.filter_jit(gradient(case.generated.loss))(params, xs, labels), due)


STATE = """
class Network(nnx.Module):
    def __init__(self):
        self.layers = nnx.List([nnx.Param(ones(4, 3)), nnx.Param(ones(3, 2))])
        self.scale = nnx.BatchStat(ones())

    def __call__(self, xs):
        return self.scale * total(self.layers[0] @ self.layers[1], xs)

graphdef, params, rest = nnx.split(Network(), nnx.Param, ...)

# gradgen: shape xs=(time, batch, n)
def loss(params, rest, xs):
    return nnx.merge(graphdef, params, rest)(xs)

def arguments():
    return params, rest, ones(5, 2, 4)
"""


def test_state_of_flax_nnx(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    case = made(written(tmp_path, STATE))
    assert not judged(case.front, pytestconfig).failures
    params, rest, xs = case.arguments
    due = jax.grad(case.source["loss"])(params, rest, xs)
    _, (found,) = case.generated.loss_value_and_grad(params, rest, xs)
    assert list(found["layers"]) == [0, 1]
    assert type(found["layers"][1]) is nnx.Param
    agree(found, due)
    agree(jax.grad(case.generated.loss)(params, rest, xs), due)
    tangents = jax.tree.map(lambda x: 0.1 * x, (params, rest, xs))
    zeros = jax.tree.map(jnp.zeros_like, (rest, xs))
    along = jax.jvp(case.source["loss"], (params, rest, xs), (tangents[0], *zeros))
    agree(case.generated.loss_jvp((params, rest, xs), (tangents[0], None, None)), along)


def test_without_an_example_the_hint_asks_for_one() -> None:
    path = NETWORKS / "nnx_network.py"
    with pytest.raises(GradgenError) as caught:
        open_front(Settings(str(path), "loss"))
    assert "cannot be traced on arrays of these shapes" in caught.value.message
    assert "an argument that holds several arrays wants an example" in (caught.value.hint or "")
    assert "nnx.merge(graphdef, state)" in path.read_text().splitlines()[caught.value.line - 1]
    followed = open_front(Settings(str(path), "loss", example=f"{path}:arguments"))
    assert isinstance(followed, ArrayFront)


def test_a_state_of_another_network_is_refused(tmp_path: Path) -> None:
    case = made(written(tmp_path, STATE))
    params, rest, xs = case.arguments
    more = nnx.State({"layers": {**params["layers"], 2: nnx.Param(xs)}})
    with pytest.raises(ValueError, match="loss takes 2 leaves in params, not 3"):
        case.generated.loss_value_and_grad(more, rest, xs)
    with pytest.raises(ValueError, match="takes mapping with layers for params, not State"):
        case.generated.loss_jvp((params, rest, xs), (nnx.State({"w": xs}), None, None))


KINDS = {
    "a frozen dict": (
        "def loss(params, xs):\n    return total(params['a']['w'], xs)\n",
        "flax.core.freeze({'a': {'w': ones(4, 3)}})",
    ),
    "Haiku's own mapping": (
        "def loss(params, xs):\n    return total(params['linear/~/w']['w'], xs)\n",
        "hk.data_structures.to_haiku_dict({'linear/~/w': {'w': ones(4, 3)}})",
    ),
    "a module of Flax NNX": (
        "class Layer(nnx.Module):\n"
        "    def __init__(self):\n        self.w = nnx.Param(ones(4, 3))\n"
        "    def __call__(self, xs):\n        return total(self.w[...], xs)\n"
        "def loss(layer, xs):\n    return layer(xs)\n",
        "Layer()",
    ),
    "a module that converts what it is made of": (
        "class Layer(eqx.Module):\n"
        "    w: jax.Array\n    tau: float\n    steps: int = eqx.field(static=True)\n"
        "    def __init__(self, w, tau, steps):\n"
        "        self.w, self.tau, self.steps = 2.0 * w, tau, steps\n"
        "    def __call__(self, xs):\n        return total(self.w, xs[: self.steps], self.tau)\n"
        "def loss(layers, xs):\n    return layers[0](xs) + layers[1](xs)\n",
        "[Layer(ones(4, 3), 0.5, 9), Layer(ones(4, 3), 0.25, 11)]",
    ),
}


@pytest.mark.parametrize("name", KINDS)
def test_what_jax_takes_apart(name: str, tmp_path: Path) -> None:
    text, example = KINDS[name]
    text += f"\ndef arguments():\n    return {example}, ones(12, 2, 4)\n"
    case = made(written(tmp_path, text))
    params, xs = case.arguments
    due = eqx.filter_jit(eqx.filter_grad(case.source["loss"]))(params, xs)
    _, (found,) = case.generated.loss_value_and_grad(params, xs)
    agree(found, due)
    agree(eqx.filter_grad(case.generated.loss)(params, xs), due)


HIDDEN = """
class Layer(eqx.Module):
    w: jax.Array
    tau: float = eqx.field(static=True)
    rho: float

    def __init__(self, tau):
        self.w, self.tau, self.rho = ones(4, 3), tau, 0.25

    def __call__(self, xs):
        return jnp.sum(jnp.tanh(self.tau * xs @ self.w + self.rho))

# gradgen: shape xs=(batch, n)
def loss(layers, xs):
    return layers[0](xs) + layers[1](xs)

def arguments():
    return [Layer(0.5), Layer(0.75)], ones(2, 4)
"""


def test_static_floats_are_in_the_gradient_as_they_were(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    case = made(written(tmp_path, HIDDEN))
    assert not judged(case.front, pytestconfig).failures
    layers, xs = case.source["arguments"]()
    _, (found,) = case.generated.loss_value_and_grad(layers, xs)
    assert [(layer.tau, layer.rho) for layer in found] == [(0.5, None), (0.75, None)]
    agree(found, eqx.filter_grad(case.source["loss"])(layers, xs))
    # such a gradient is a tangent as well
    _, pushed = case.generated.loss_jvp((layers, xs), (found, None))
    squared = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(found))
    np.testing.assert_allclose(pushed, squared, rtol=1e-5)
    with pytest.raises(TypeError, match=r"layers\.0\.rho held constant"):
        case.generated.loss_jvp((layers, xs), (layers, None))


REFUSED = {
    "a parameter by itself": ("nnx.Param(ones(4, 3))", "Param, not an array", "x[...]"),
    "a mapping that JAX knows no keys of": (
        "Nameless({'w': ones(4, 3)})",
        "holds a Nameless, which JAX does not take apart by keys",
        "dicts",
    ),
    "a mapping that JAX does not know": (
        "types.MappingProxyType({'w': ones(4, 3)})",
        "holds a mappingproxy, which JAX does not take apart by keys",
        "dicts",
    ),
    "a mapping whose keys are digits": (
        "flax.core.freeze({'0': ones(4, 3)})", "holds a FrozenDict with the key '0'", "dicts",
    ),
    "a mapping with other things in it": (
        "flax.core.freeze({'w': [ones(4, 3)]})", "a value under 'w' which is no array", "dicts",
    ),
}  # fmt: skip
NAMELESS = """
import collections, types

@jax.tree_util.register_pytree_node_class
class Nameless(collections.UserDict):
    def tree_flatten(self):
        return list(self.values()), tuple(self)

    @classmethod
    def tree_unflatten(cls, keys, values):
        return cls(zip(keys, values))

def loss(w, xs):
    return total(jax.tree.leaves(w)[0], xs)
"""


@pytest.mark.parametrize("name", REFUSED)
def test_refused_and_the_hint_followed(name: str, tmp_path: Path) -> None:
    example, message, hint = REFUSED[name]
    text = NAMELESS + "\ndef arguments():\n    return {}, ones(5, 2, 4)\n"
    path = written(tmp_path, text.replace("return {}", f"return {example}"))
    with pytest.raises(GradgenError) as caught:
        made(path)
    assert message in caught.value.message
    assert hint in (caught.value.hint or "")
    line = path.read_text().splitlines().index("def loss(w, xs):") + 1
    assert (caught.value.path, caught.value.line) == (str(path), line)
    case = made(written(tmp_path, text.replace("return {}", "return {'w': ones(4, 3)}")))
    params, xs = case.arguments
    _, (found,) = case.generated.loss_value_and_grad(params, xs)
    agree(found, jax.grad(case.source["loss"])(params, xs))


ORDERED = """
import collections

@jax.tree_util.register_pytree_with_keys_class
class Ordered(collections.UserDict):
    def tree_flatten_with_keys(self):
        return [(jax.tree_util.DictKey(k), v) for k, v in self.items()], tuple(self)

    @classmethod
    def tree_unflatten(cls, keys, values):
        return cls(zip(keys, values))

def loss(w, xs):
    return total(w["a"] @ w["b"], xs)

def arguments():
    return Ordered(b=ones(2, 3), a=ones(4, 2)), ones(5, 2, 4)
"""


def test_leaves_go_by_keys_whatever_their_order(tmp_path: Path) -> None:
    case = made(written(tmp_path, ORDERED))
    w, xs = case.arguments
    kind = type(w)
    for given in (w, kind(a=w["a"], b=w["b"])):
        _, (found,) = case.generated.loss_value_and_grad(given, xs)
        agree(found, jax.grad(case.source["loss"])(given, xs))
