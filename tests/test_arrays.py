"""Functions on arrays through the whole pipeline, each compared with JAX."""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from array_sources import HEADER, SOURCES
from compiling import run_compiled

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_generation import generate_arrays, judge_arrays
from gradgen.compile.array_programs import array_module
from gradgen.compile.front import open_front
from gradgen.config import Settings
from gradgen.ir.shapes import names_in, size
from gradgen.targets.jax.render import render_arrays

SIZES = {"float32": ((3, 5, 7, 4, 6),), "float64": ((6, 2, 3, 5, 4), (1, 1, 1, 1, 1))}
"""Of the axes in the order of their names."""
SHORTEST = frozenset((
    # products of matrices, rows and scores, windows, places, sums and shifts, stretched and
    # returned, loops, randomness, sorting
    "recurrent adaptive layer", "custom_vjp and a matrix times a vector", "attention",
    "layer normalisation", "split, concatenate and stack", "convolution", "maximum over windows",
    "gather and scatter", "cross-entropy by indices", "reductions and cumulative sums",
    "roll, pad, reverse, transpose, reshape", "vmap inside", "einsum with three operands",
    "delay line", "axes of size one", "a sum whose cotangent is stretched along two axes",
    "arguments that are returned as they are", "loop of fixed length", "branch", "sort",
    "dropout and noise from a key", "diagonals", "repeated and tiled", "changed at places",
))  # fmt: skip
"""What the normal run tries where each axis has the size one."""
VERIFIED = frozenset((
    # mapped with weights, moved in another order, counted inside of rules, divided by no degrees of
    # freedom, infinite behind a mask, nothing kept, without steps,
    # numbers of Python, a state that is held constant, JAX further off
    "convolution", "the first axis fastest", "products along an open axis, added up",
    "the variance of a sample", "a mask in front of what is infinite", "small integers added up",
    "a loop of which nothing is kept", "a loop of no steps", "logarithms of sums so far",
    "keys stacked by a loop", "numbers computed of sizes", "running statistics",
    "equal numbers added up", "a probability by default",
))  # fmt: skip
"""What the normal run verifies as on the command line."""
QUICKLY = frozenset((
    "logarithms of sums so far", "keys stacked by a loop", "a loop of no steps",
))  # fmt: skip
"""And of these, what it verifies at one set of sizes."""
ALIKE = frozenset((
    # what others of this run stand for: other norms, windows, heads, losses and layers
    "layer normalisation by variance", "Hodgkin-Huxley layer with gap junctions",
    "convolution with named channels", "mean over windows", "cross-entropy by take_along_axis",
    "cross-entropy by one_hot", "masked recurrent weights", "normalised weights",
    "causal attention", "attention with heads", "feed-forward layer", "refractory period",
    "straight-through estimator", "noise from raw key data",
    # and what is differentiated below
    "two-layer loss with a penalty", "loss with what else is to be known",
))  # fmt: skip
"""What the normal run leaves out, beside what it verifies."""
ULPS = {"float32": 2**-23, "float64": 2**-52}


@dataclass(frozen=True)
class Pair:
    """A source and its generated module, as functions of their flat leaves."""

    front: ArrayFront
    text: str
    source: Callable[..., Any]
    generated: types.ModuleType
    backward_alone: bool
    """Whether the source has a backward rule that no forward mode goes through."""

    def flat(self, function: Callable[..., Any], leaves: Sequence[Any]) -> list[Any]:
        """The leaves of a result."""
        positional, keyword = self.front.signature.bind(leaves)
        return jax.tree.leaves(function(*positional, **keyword))

    def types(self, function: Callable[..., Any], leaves: Sequence[Any]) -> list[Any]:
        """The shapes and dtypes of a result's leaves; nothing is compiled for them."""
        found: list[Any] = jax.eval_shape(partial(self.flat, function), leaves)
        return found

    def function(self, suffix: str = "") -> Any:
        """A generated function, None if there is none."""
        return getattr(self.generated, f"f{suffix}", None)

    def leaves(self, sizes: Sequence[int], dtype: str, rng: np.random.Generator) -> list[Any]:
        """Random arguments at some sizes of the axes."""
        trace = self.front.trace
        axes = sorted({name for shape in trace.shapes for dim in shape for name in names_in(dim)})
        named = dict(zip(axes, sizes, strict=False))
        return [
            _leaf(i.dtype, tuple(size(dim, named) for dim in shape), named, dtype, rng)
            for i, shape in zip(trace.inputs, trace.shapes, strict=True)
        ]


def _leaf(
    kind: str, shape: tuple[int, ...], sizes: dict[str, int], dtype: str, rng: np.random.Generator
) -> Any:
    if kind == "key":
        return jax.random.key(3)
    if kind == "uint32":
        return jax.random.PRNGKey(3)
    if kind == "float":
        return jnp.asarray(1.5 * rng.normal(size=shape), dtype)
    return jnp.asarray(rng.integers(0, min(sizes.values()), shape), kind)


def pair(folder: Path, text: str, **settings: Any) -> Pair:
    """Generate the module of a source on arrays; nothing is verified."""
    path = folder / "model.py"
    path.write_text(HEADER + text)
    front = open_front(Settings(str(path), **settings))
    assert isinstance(front, ArrayFront)
    written = render_arrays(array_module(front))
    module = types.ModuleType("model_grad")
    sys.modules["model_grad"] = module
    exec(compile(written, "<model_grad>", "exec"), module.__dict__)
    return Pair(front, written, front.function, module, "vspike" in text)


@pytest.fixture(scope="module", params=SOURCES)
def made(request, tmp_path_factory) -> Pair:
    return pair(tmp_path_factory.mktemp("arrays"), SOURCES[request.param])


@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.full), "float64"])
@pytest.mark.parametrize(
    "made",
    [
        pytest.param(name, marks=pytest.mark.full) if name in ALIKE | VERIFIED else name
        for name in SOURCES
    ],
    indirect=True,
)
def test_equals_jax(made: Pair, dtype: str) -> None:
    check(made, dtype, sets=SIZES[dtype][:1])


@pytest.mark.parametrize(
    "made",
    [name if name in SHORTEST else pytest.param(name, marks=pytest.mark.full) for name in SOURCES],
    indirect=True,
)
def test_equals_jax_on_axes_of_size_one(made: Pair) -> None:
    check(made, "float64", sets=SIZES["float64"][1:])


def check(
    made: Pair,
    dtype: str,
    value_ulps: float = 8,
    sets: Sequence[Sequence[int]] | None = None,
) -> None:
    """Compare values and derivatives in both modes with JAX's, at some sets of sizes.

    Values are off by no more than the rounding of contractions, or of sums over time of them.
    """
    rng = np.random.default_rng(1)
    with jax.enable_x64(dtype == "float64"):
        for sizes in sets or SIZES[dtype]:
            leaves = made.leaves(sizes, dtype, rng)
            due, found = (made.types(f, leaves) for f in (made.source, made.function()))
            assert [(a.shape, a.dtype) for a in found] == [(a.shape, a.dtype) for a in due]
            floats = [k for k, a in enumerate(due) if jnp.issubdtype(a.dtype, jnp.floating)]
            cotangents = [_random_like(due[k], rng) for k in floats]
            wrt = [k for k, i in enumerate(made.front.trace.inputs) if i.wrt]
            tangents = [_random_like(leaves[k], rng) for k in wrt]
            one, other = _both_ways(made, floats, wrt)(leaves, cotangents, tangents)
            for mine, theirs, ulps in zip(one, other, (value_ulps, 1e4, 1e4), strict=True):
                for a, b in zip(mine, theirs, strict=True):
                    _assert_close(a, b, dtype, ulps)


def _both_ways(made: Pair, floats: Sequence[int], wrt: Sequence[int]) -> Callable[..., Any]:
    """Values, cotangents and tangents of the generated functions, and those of the source."""

    def everything(leaves: Any, cotangents: Any, tangents: Any) -> Any:
        def along(function: Any, *chosen: Any) -> Any:
            given = list(leaves)
            for k, value in zip(wrt, chosen, strict=True):
                given[k] = value
            results = made.flat(function, given)
            return [results[k] for k in floats]

        chosen = [leaves[k] for k in wrt]

        def pulled(function: Any) -> Any:
            return jax.vjp(lambda *c: along(function, *c), *chosen)[1](cotangents)

        def pushed(function: Any) -> Any:
            return jax.jvp(lambda *c: along(function, *c), chosen, tangents)[1]

        pairs = []
        for function, forward in ((made.function(), made.function("_forward")), (made.source,) * 2):
            # no forward mode goes through a custom_vjp
            ahead = [] if made.backward_alone else pushed(forward)
            pairs.append((along(function, *chosen), pulled(function), ahead))
        return pairs

    return partial(run_compiled, everything)


@pytest.mark.parametrize(
    "made",
    [name if name in VERIFIED else pytest.param(name, marks=pytest.mark.full) for name in SOURCES],
    indirect=True,
)
@pytest.mark.filterwarnings("ignore")
def test_verifies(made: Pair, request: pytest.FixtureRequest) -> None:
    quick = request.node.callspec.params["made"] in QUICKLY
    assert_verifies(made, quick=quick and not request.config.getoption("--full"))


def assert_verifies(made: Pair, *, quick: bool = False) -> None:
    """Verify at sizes that differ, at which the operations of the text are counted again."""
    trace = made.front.trace
    axes = sorted({name for shape in trace.shapes for dim in shape for name in names_in(dim)})
    sizes = dict(zip(axes, SIZES["float32"][0], strict=False))
    front = replace(made.front, trace=replace(trace, sizes=tuple(sizes.items())))
    if quick:
        module = array_module(front)
        written = render_arrays(module)
        assert judge_arrays(front, module, written, quick=True).exact
    else:
        verified = generate_arrays(front, lambda what: None)
        written = verified.text
        assert verified.report.exact
    text = ast.parse(written)
    (stated,) = (s.value for s in text.body if ast.unparse(s).startswith("GRADGEN = "))
    for counts in ast.literal_eval(stated)["counts"].values():
        assert eval(counts["formula"], {}, sizes) == counts["total"]


@pytest.mark.parametrize(
    "name", ["two-layer loss with a penalty", "loss with what else is to be known"]
)
def test_value_and_grad(name: str, tmp_path: Path) -> None:
    made = pair(tmp_path, SOURCES[name])
    with jax.enable_x64(True):
        leaves = made.leaves(SIZES["float64"][0], "float64", np.random.default_rng(2))
        (first, *others), _ = made.front.signature.bind(leaves)
        has_aux = "what else" in name
        due = jax.value_and_grad(made.source, has_aux=has_aux)(first, *others)
        value, (gradient,) = made.function("_value_and_grad")(first, *others)
    assert jax.tree.structure((value, gradient)) == jax.tree.structure(due)
    for one, other in zip(jax.tree.leaves((value, gradient)), jax.tree.leaves(due), strict=True):
        _assert_close(one, other, "float64", 1e3)


def _random_like(value: Any, rng: np.random.Generator) -> Any:
    return jnp.asarray(rng.normal(size=value.shape), value.dtype)


def _assert_close(found: Any, due: Any, dtype: str, ulps: float) -> None:
    a, b = (np.asarray(x, float) for x in (found, due))
    assert a.shape == b.shape
    # what cancels is as far off as what was added up
    scale = max(np.max(np.abs(b[np.isfinite(b)]), initial=0.0), 1e-2 if ulps < 100 else 1.0)
    np.testing.assert_allclose(a, b, rtol=0, atol=ulps * ULPS[dtype] * scale)
