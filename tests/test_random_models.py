"""Random model functions through the whole pipeline, each compared with JAX.

    pytest tests/test_random_models.py -n 2                          # 320 models, always the same
    GRADGEN_EXAMPLES=5000 pytest tests/test_random_models.py -n 2    # other models in each run
    GRADGEN_EXAMPLES=5000 GRADGEN_SEED=7 pytest ...                  # repeats a run
"""

from __future__ import annotations

import os
import re
import secrets
import sys
import tempfile
import types
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, note, reject, seed, settings
from strategies import Model, models

from gradgen import pipeline
from gradgen.config import Settings
from gradgen.errors import GradgenError

SHARDS = 16
EXAMPLES = int(os.environ.get("GRADGEN_EXAMPLES", "320"))
SEED = os.environ.get("GRADGEN_SEED")
if SEED is None and "GRADGEN_EXAMPLES" not in os.environ:
    SEED = "0"

REFUSALS = (
    # what gradgen may answer; each is checked to be true
    r"no output of 'step' depends differentiably on ",
)
POINTS = 6


@pytest.mark.parametrize("shard", range(SHARDS))
def test_random_models(shard, record_property):
    start = secrets.randbits(32) if SEED is None else int(SEED)
    print(f"repeat with GRADGEN_EXAMPLES={EXAMPLES} GRADGEN_SEED={start}")
    passed: set[str] = set()
    outcomes: Counter[str] = Counter()

    @seed(start * SHARDS + shard)
    @settings(
        max_examples=-(-EXAMPLES // SHARDS),
        database=None,
        deadline=None,
        print_blob=False,
        report_multiple_bugs=False,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(models())
    def check(model: Model) -> None:
        if model.text in passed:
            reject()
        note(f"\n{model.text}")
        outcomes[check_model(model.text)] += 1
        passed.add(model.text)

    check()
    print(dict(outcomes))
    for outcome, count in outcomes.items():
        record_property(outcome, count)
    # a shard is small: a few percent, and a few by chance
    assert outcomes["refused"] <= 3 + 0.05 * outcomes.total()


def check_model(text: str) -> str:
    """Generate code for a source file and compare it with JAX; returns how it went."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.py"
        path.write_text(text, encoding="utf-8")
        jax_source = _module("random_model", text)
        try:
            front = pipeline.open_front(Settings(str(path)))
            selected = [i.wrt for i in front.trace.inputs]
            graph = pipeline.graph_of(front)
            modules = pipeline.candidates(front, graph, pipeline.orders_for(Settings(str(path)), graph))
        except GradgenError as error:
            assert any(re.match(reason, error.message) for reason in REFUSALS), error
            for dtype in ("float64", "float32"):
                with jax.enable_x64(dtype == "float64"):
                    source = Source(jax_source, dtype, wrt=selected)
                    for point in source.points():
                        assert not np.nan_to_num(source.jacobian(point).known).any(), "not zero"
            return "refused"
        _, generated = next(iter(pipeline.texts(modules, Settings(str(path)).emit)))
    note(generated[generated.index("def _primal") :])
    compare(jax_source, _module("random_model_grad", generated), front)
    return "with jit" if front.trace.inlined_jit else "exact"


def _module(name: str, text: str) -> types.ModuleType:
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(text, f"<{name}>", "exec"), module.__dict__)
    return module


@dataclass(frozen=True)
class Jacobian:
    """The same Jacobian found forwards and backwards; rows are float outputs, columns floats."""

    forward: np.ndarray | None
    reverse: np.ndarray | None

    @property
    def known(self) -> np.ndarray:
        """One of the two that can be had."""
        found = self.reverse if self.forward is None else self.forward
        assert found is not None
        return found

    @property
    def certain(self) -> np.ndarray:
        """Where both are finite; where JAX has one mode only, where that is finite throughout."""
        if self.forward is None or self.reverse is None:
            return np.full(self.known.shape, np.isfinite(self.known).all())
        return np.isfinite(self.forward) & np.isfinite(self.reverse)


class Source:
    """The source function on flat float64 or float32 leaves."""

    def __init__(
        self, module: types.ModuleType, dtype: str, wrt: Sequence[bool], function: Any = None
    ) -> None:
        self.function = function or module.step
        self.dtype = dtype
        positional, keyword = module.example()
        self.keywords = tuple(keyword)
        # in the order of the signature
        arguments = (*positional, *keyword.values())
        leaves, self.treedef = jax.tree.flatten(arguments)
        self.kinds = [np.asarray(leaf).dtype.kind for leaf in leaves]
        self.wrt = [k for k, chosen in enumerate(wrt) if chosen]

    def arguments(self, leaves: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments of leaves in JAX's order."""
        arguments = jax.tree.unflatten(self.treedef, list(leaves))
        split = len(arguments) - len(self.keywords)
        return arguments[:split], dict(zip(self.keywords, arguments[split:], strict=True))

    def __call__(self, *leaves: Any) -> Any:
        """The result."""
        positional, keyword = self.arguments(leaves)
        return self.function(*positional, **keyword)

    def floats(self, point: Sequence[Any]) -> list[Any]:
        """The leaves of a point that are differentiated."""
        return [point[k] for k in self.wrt]

    def with_floats(self, point: Sequence[Any], chosen: Sequence[Any]) -> list[Any]:
        """The point with those leaves replaced."""
        leaves = list(point)
        for k, value in zip(self.wrt, chosen, strict=True):
            leaves[k] = value
        return leaves

    def points(self, shape: tuple[int, ...] = ()) -> list[list[Any]]:
        """Points of general position and points where ties are likely."""
        random = np.random.default_rng(0)
        found = []
        for number in range(POINTS):
            point: list[Any] = []
            for kind in self.kinds:
                if kind == "b":
                    point.append(jnp.asarray(random.integers(0, 2, shape), bool))
                elif kind == "i":
                    point.append(jnp.asarray(random.integers(-1, 4, shape), jnp.int32))
                else:
                    values = random.normal(0.3, 1.0, shape)
                    if number % 2:
                        values = np.round(2 * values) / 2
                    point.append(jnp.asarray(values, self.dtype))
            found.append(point)
        return found

    def jacobian(self, point: Sequence[Any]) -> Jacobian:
        """By jacfwd and jacrev, op by op; None for the one that JAX does not offer."""

        def floats(*chosen: Any) -> list[Any]:
            outputs = jax.tree.leaves(self(*self.with_floats(point, chosen)))
            return [o for o in map(jnp.asarray, outputs) if jnp.issubdtype(o.dtype, jnp.floating)]

        chosen = self.floats(point)
        argnums = tuple(range(len(chosen)))

        def rows(mode: Callable[..., Any]) -> np.ndarray | None:
            try:
                found = mode(floats, argnums)(*chosen)
            except (TypeError, ValueError) as error:
                if "custom_vjp" in str(error) or "while_loop" in str(error):
                    return None
                raise
            return np.array(found, np.float64).reshape(-1, len(chosen))

        with jax.disable_jit():
            return Jacobian(rows(jax.jacfwd), rows(jax.jacrev))


def compare(source: types.ModuleType, generated: types.ModuleType, front: Any) -> None:
    """Compare the generated module with its source, at points, in both precisions."""
    float64: list[Jacobian] = []
    selected = [i.wrt for i in front.trace.inputs]
    for dtype in ("float64", "float32"):
        with jax.enable_x64(dtype == "float64"):
            by_jax = Source(source, dtype, selected)
            ours = Source(source, dtype, selected, generated.step)
            for number, point in enumerate(by_jax.points()):
                _compare_value(by_jax, ours, point, exactly=not front.trace.inlined_jit)
                jacobian = by_jax.jacobian(point)
                if dtype == "float64":
                    float64.append(jacobian)
                _compare_derivatives(generated, by_jax, ours, point, jacobian, float64[number], dtype)
            for point in by_jax.points((3,))[:2]:
                _compare_many(generated, by_jax, ours, point, front)


def _compare_value(by_jax: Source, ours: Source, point: Sequence[Any], *, exactly: bool) -> None:
    with jax.disable_jit():
        wanted = by_jax(*point)
    _assert_same_bits(ours(*point), wanted)
    if exactly:
        # XLA makes a product with a truth value a selection, where zeros have no sign
        _assert_same_bits(ours(*point), by_jax(*point), signed_zeros=False)


def _assert_same_bits(got: Any, wanted: Any, *, signed_zeros: bool = True) -> None:
    # the generated file may have classes of its own
    assert str(jax.tree.structure(got)) == str(jax.tree.structure(wanted))
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        other = jnp.asarray(other)
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        one, other = np.asarray(one), np.asarray(other)
        if one.dtype.kind == "f" and signed_zeros:
            np.testing.assert_array_equal(_signs(one), _signs(other))
        np.testing.assert_array_equal(one, other)


def _signs(x: np.ndarray) -> np.ndarray:
    return np.signbit(x) & ~np.isnan(x)


def _compare_derivatives(
    generated: types.ModuleType,
    by_jax: Source,
    ours: Source,
    point: Sequence[Any],
    jacobian: Jacobian,
    float64: Jacobian,
    dtype: str,
) -> None:
    positional, keyword = by_jax.arguments(point)
    shape = jacobian.known.shape
    value, nested = generated.step_value_and_jacobian(*positional, **keyword)
    _assert_same_bits(value, generated.step(*positional, **keyword))
    entries = np.array(jax.tree.leaves(nested), np.float64).reshape(shape)
    allowed = _tolerance(jacobian, float64, dtype)
    _assert_close(entries, jacobian, float64, allowed)
    random = np.random.default_rng(1)
    weights = random.normal(size=shape[0]), random.normal(size=shape[1])
    certain = jacobian.certain & float64.certain
    exact = np.where(certain, float64.known, 0.0)
    cotangents = _like(value, weights[0])
    if by_jax.keywords:
        return
    # backwards
    pulled = jax.tree.leaves(generated.step_vjp(positional, cotangents))
    through = jax.vjp(lambda *chosen: ours(*by_jax.with_floats(point, chosen)), *by_jax.floats(point))[1](cotangents)
    wanted = weights[0] @ exact
    limit = np.abs(weights[0]) @ np.where(certain, allowed, 0.0)
    for found in (pulled, through):
        got = np.array(found, np.float64)
        for k in range(shape[1]):
            if certain[:, k].all():
                assert abs(got[k] - wanted[k]) <= limit[k], (got, wanted, limit)
    # forwards
    tangents = _tangents(by_jax, positional, weights[1])
    value2, pushed = generated.step_jvp(positional, tangents)
    _assert_same_bits(value2, value)
    got = np.array(
        [x for x in jax.tree.leaves(pushed) if x.dtype != jax.dtypes.float0], np.float64
    )
    wanted = exact @ weights[1]
    limit = np.where(certain, allowed, 0.0) @ np.abs(weights[1])
    for k in range(shape[0]):
        if certain[k].all():
            assert abs(got[k] - wanted[k]) <= limit[k], (got, wanted, limit)


def _tolerance(jacobian: Jacobian, float64: Jacobian, dtype: str) -> np.ndarray:
    """How far from JAX's float64 a derivative may be: what JAX's own modes are off, and some ulps."""
    eps = float(jnp.finfo(dtype).eps)
    both = [j for j in (jacobian.forward, jacobian.reverse) if j is not None]
    finite = np.where(np.isfinite(float64.known), np.abs(float64.known), 0.0)
    scale = np.maximum(finite, max(1.0, finite.max(initial=0.0)))
    with np.errstate(invalid="ignore"):
        off = np.max([np.abs(j - float64.known) for j in both], axis=0)
    return 1000 * eps * scale + 4 * np.nan_to_num(off, nan=0.0, posinf=0.0)


def _assert_close(
    entries: np.ndarray, jacobian: Jacobian, float64: Jacobian, allowed: np.ndarray
) -> None:
    certain = jacobian.certain & float64.certain
    with np.errstate(invalid="ignore"):
        off = np.abs(entries - float64.known)
    assert np.all(off[certain] <= allowed[certain]), (entries, jacobian, float64)
    # where only one of the two modes is finite: that one, or nothing
    both = [j for j in (jacobian.forward, jacobian.reverse) if j is not None]
    finite = [np.isfinite(j) for j in both]
    only = np.any(finite, axis=0) & ~np.all(finite, axis=0)
    for index in zip(*np.nonzero(only & np.isfinite(entries)), strict=True):
        one = next(j[index] for j in both if np.isfinite(j[index]))
        assert abs(entries[index] - one) <= allowed[index] + 1e-5 * abs(one), (entries, jacobian)


def _like(value: Any, weights: np.ndarray) -> Any:
    """Cotangents for a result: the weights on its floats, float0 for the rest."""
    remaining = iter(weights)

    def cotangent(leaf: Any) -> Any:
        if jnp.issubdtype(leaf.dtype, jnp.floating):
            return jnp.asarray(next(remaining), leaf.dtype)
        return np.zeros(leaf.shape, jax.dtypes.float0)

    return jax.tree.map(cotangent, value)


def _tangents(by_jax: Source, positional: Sequence[Any], weights: np.ndarray) -> tuple[Any, ...]:
    remaining = iter(weights)
    leaves, treedef = jax.tree.flatten(tuple(positional))
    tangents = [
        jnp.asarray(next(remaining), leaf.dtype) if k in by_jax.wrt else None
        for k, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(treedef, tangents)


def _compare_many(
    generated: types.ModuleType, by_jax: Source, ours: Source, point: Sequence[Any], front: Any
) -> None:
    """Several neurons: the value, and entries as of each neuron by itself."""
    with jax.disable_jit():
        wanted = jax.vmap(by_jax)(*point) if front.vmapped else by_jax(*point)
    got = ours(*point)
    if not front.vmapped:
        _assert_same_bits(got, wanted)
    positional, keyword = by_jax.arguments(point)
    for key, entry in generated.step_jacobian_entries(*positional, **keyword).items():
        for k in range(3):
            alone, keywords = by_jax.arguments([leaf[k] for leaf in point])
            single = generated.step_jacobian_entries(*alone, **keywords)[key]
            np.testing.assert_allclose(
                np.broadcast_to(entry, (3,))[k], single, rtol=1e-4, atol=1e-6
            )
