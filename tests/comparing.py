"""Compares generated code with JAX, which evaluates the source operation by operation.

With `jax.disable_jit` nothing is fused, so that the primal must agree in every bit, and branches
are branches. This oracle shares nothing with gradgen's own verification.
"""

from __future__ import annotations

import re
import sys
import tempfile
import types
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.extend.core as jex
import jax.numpy as jnp
import numpy as np
from hypothesis import currently_in_test_context, note

from gradgen.compile import ordering
from gradgen.compile.front import Front, open_front
from gradgen.compile.generation import generate
from gradgen.compile.graphs import graph_of
from gradgen.compile.programs import candidates
from gradgen.config import Settings
from gradgen.errors import GradgenError
from gradgen.ir.code import is_float
from gradgen.ir.module import Module as GeneratedModule
from gradgen.ir.trace import Trace
from gradgen.targets.jax.render import render

REFUSALS = (r"no output of 'step' depends differentiably on ",)
"""What gradgen may answer instead of code; that it is true is checked."""
UNTOLD = (
    r"'step' (converts integers, and has others promoted|has integers promoted beside numbers of )"
)
"""What gradgen may answer, and nobody checks whether it has to: integers that are carried through
loops and branches have few dtypes that can be told."""
INNER = re.compile(r"\bjax\.(grad|jvp|vjp)\(")
BUDGET = 0.1
"""Seconds of search: any order is exact, and proofs that none is cheaper take longest."""
POINTS = 8
PRECISIONS = ("float64", "float32")


@dataclass(frozen=True)
class Extent:
    """How much of a model is compared."""

    precisions: Sequence[str] = PRECISIONS
    """From the widest on."""
    branch_points: int = 4
    """At how many points, from the first on, branches are differentiated: one by one, which takes
    long. Every other point is one where ties are likely."""

    def settings(self, trace: Trace) -> list[tuple[str, bool]]:
        """The precisions, as far as a model is for them, and whether there are 64-bit types."""
        if trace.single:
            beside = (False, True) if trace.precisions == "float32" else (False,)
            return [("float32", with_64_bits) for with_64_bits in beside]
        return [(dtype, dtype == "float64") for dtype in self.precisions]


WHOLE = Extent()


def check_model(text: str, extent: Extent = WHOLE, *, verified: bool = False) -> str:
    """Generate code for a source file and compare it with JAX; returns how it went."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.py"
        path.write_text(text, encoding="utf-8")
        source = partial(_module, "random_model", text)
        if not _has_derivative(source()):
            return "no derivative"
        options = Settings(str(path), budget=BUDGET)
        front = None
        try:
            front = open_front(options)
            graph = graph_of(front)
        except GradgenError as error:
            if re.search(UNTOLD, error.message):
                return "untold"
            if front is None or not any(re.match(r, error.message) for r in REFUSALS):
                raise
            _assert_constant(source(), front)
            return "refused"
        modules = candidates(front, graph, ordering.orders_for(options, graph))
        try:
            _compare_first_finite(source, front, modules, extent)
        except NotFiniteError:
            _compare_first_finite(source, front, [_plain_sweeps(modules[0])], extent)
            return "plain sweeps"
        if verified:
            generate(options, lambda status: None)
    return "exact"


def _has_derivative(source: types.ModuleType) -> bool:
    """Whether the source takes its own example, compiled, and returns a float with a derivative.

    An integer default may be none that it takes.
    """
    positional, keyword = source.example()
    leaves, treedef = jax.tree.flatten((positional, keyword))
    floats = [k for k, leaf in enumerate(leaves) if isinstance(leaf, float)]

    def along(*given: float) -> Any:
        replaced = dict(zip(floats, given, strict=True))
        everything = [jnp.asarray(replaced.get(k, leaf)) for k, leaf in enumerate(leaves)]
        positional, keyword = jax.tree.unflatten(treedef, everything)
        outputs = map(jnp.asarray, jax.tree.leaves(source.step(*positional, **keyword)))
        return [o for o in outputs if jnp.issubdtype(o.dtype, jnp.floating)]

    def pushed(*given: float) -> Any:
        return jax.jvp(along, given, (1.0,) * len(given))[0]

    def pulled(*given: float) -> Any:
        outputs, pull = jax.vjp(along, *given)
        pull([jnp.ones_like(o) for o in outputs])
        return outputs

    for way in (pushed, pulled):
        with suppress(TypeError, ValueError, NotImplementedError):
            traced = jax.make_jaxpr(way)(*(0.5,) * len(floats))
            # no forward mode goes through a custom_vjp, which JAX notices when it compiles
            if "custom_lin" not in str(traced):
                return bool(traced.out_avals)
    return False


def _compare_first_finite(
    source: Callable[[], types.ModuleType],
    front: Front,
    modules: Sequence[GeneratedModule],
    extent: Extent,
) -> None:
    """Compare the cheapest, or else, as in the pipeline, the first that does not overflow."""
    for number, module in enumerate(modules):
        text = render(module)
        try:
            compare(source, _module("random_model_grad", text), front, extent)
            return
        except AssertionError as error:
            if not isinstance(error, NotFiniteError) or number == len(modules) - 1:
                _note(text)
                raise


def _plain_sweeps(module: GeneratedModule) -> GeneratedModule:
    """Everything as forward or reverse mode has it."""
    return replace(
        module,
        jacobian=replace(module.jacobian, chosen=module.jacobian.forward),
        vjp=replace(module.vjp, chosen=module.vjp.reverse),
        jvp=replace(module.jvp, chosen=module.jvp.forward),
    )


def _note(generated: str) -> None:
    # shown by hypothesis beside a failing example
    if currently_in_test_context():
        note(generated[generated.index("def _primal") :])


class NotFiniteError(AssertionError):
    """The generated code overflows where JAX does not."""


def _module(name: str, text: str) -> types.ModuleType:
    module = types.ModuleType(name)
    sys.modules[name] = module
    exec(compile(text, f"<{name}>", "exec"), module.__dict__)
    return module


def _is_fused(jaxpr: Any, *, inside: bool = False) -> bool:
    """Whether something inside is compiled in one piece, or XLA has ways of its own for it.

    It fuses what functions, branches and loops do, adds up a dot product in another order, and
    takes other instructions for short arrays than for one number.
    """
    if inside and len(jaxpr.eqns) > 1:
        return True
    for equation in jaxpr.eqns:
        alone = equation.primitive.name.startswith("custom") and not inside
        for inner in jex.jaxprs_in_params(equation.params):
            if _is_fused(inner, inside=not alone):
                return True
        if any(variable.aval.size > 1 for variable in equation.outvars):
            return True
    return False


def _assert_constant(module: types.ModuleType, front: Front) -> None:
    for dtype in PRECISIONS:
        with jax.enable_x64(dtype == "float64"):
            source = Source(module, front, dtype)
            jacobian = source.jacobian(source.points())
            assert not np.nan_to_num(jacobian.known).any(), "a derivative is not zero"


@dataclass(frozen=True)
class Jacobian:
    """One Jacobian found forwards and backwards: (points, float outputs, differentiated inputs)."""

    forward: np.ndarray | None
    reverse: np.ndarray | None

    @property
    def modes(self) -> list[np.ndarray]:
        """Those that JAX has: no forward mode of a custom_vjp."""
        return [mode for mode in (self.forward, self.reverse) if mode is not None]

    @property
    def known(self) -> np.ndarray:
        """One of them."""
        return self.modes[-1]

    @property
    def certain(self) -> np.ndarray:
        """Where both are finite; where there is one mode, where all of that is finite."""
        if len(self.modes) == 1:
            finite = np.isfinite(self.known).all(axis=(1, 2), keepdims=True)
            return np.broadcast_to(finite, self.known.shape)
        return np.isfinite(self.modes[0]) & np.isfinite(self.modes[1])


class Source:
    """The source on flat leaves, in JAX's order; or a generated function called as the source."""

    def __init__(
        self,
        module: types.ModuleType,
        front: Front,
        dtype: str,
        function: Any = None,
        extent: Extent = WHOLE,
    ) -> None:
        self.function = function or module.step
        self.dtype = dtype
        self.branch_points = extent.branch_points
        self.vmapped = front.vmapped
        self.narrows = any(i.dtype == "float32" for i in front.trace.primal)
        """Whether the source converts to float32, as then JAX's derivative passes through it."""
        self.branches = "lax.cond" in front.source.text or "lax.switch" in front.source.text
        # XLA rounds an exponential of three stacked numbers otherwise than three exponentials
        self.stacks = "jnp.stack" in front.source.text
        positional, keyword = module.example()
        self.keywords = tuple(keyword)
        leaves, self.treedef = jax.tree.flatten((*positional, *keyword.values()))
        # an integer default may stand for a float, and JAX not differentiate with an integer
        self.kinds = [
            "f" if is_float(i.dtype) else np.asarray(leaf).dtype.kind
            for leaf, i in zip(leaves, front.trace.inputs, strict=True)
        ]
        self.wrt = [k for k, i in enumerate(front.trace.inputs) if i.wrt]

    def is_fused(self, leaves: Sequence[Any]) -> bool:
        """Whether XLA may round the source otherwise than operation by operation."""
        arguments, keywords = self.arguments(leaves)
        return _is_fused(jax.make_jaxpr(self.function)(*arguments, **keywords).jaxpr)

    def arguments(self, leaves: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Positional and keyword arguments."""
        arguments = jax.tree.unflatten(self.treedef, list(leaves))
        split = len(arguments) - len(self.keywords)
        return arguments[:split], dict(zip(self.keywords, arguments[split:], strict=True))

    def __call__(self, *leaves: Any) -> Any:
        """The result."""
        positional, keyword = self.arguments(leaves)
        return self.function(*positional, **keyword)

    def floats(self, *leaves: Any) -> list[Any]:
        """The float leaves of the result."""
        outputs = [jnp.asarray(o) for o in jax.tree.leaves(self(*leaves))]
        return [o for o in outputs if jnp.issubdtype(o.dtype, jnp.floating)]

    def chosen(self, leaves: Sequence[Any]) -> list[Any]:
        """The leaves that are differentiated."""
        return [leaves[k] for k in self.wrt]

    def replaced(self, leaves: Sequence[Any], chosen: Sequence[Any]) -> list[Any]:
        """The leaves with those replaced."""
        new = list(leaves)
        for k, value in zip(self.wrt, chosen, strict=True):
            new[k] = value
        return new

    def points(self) -> list[Any]:
        """Leaves at several points, half of them where ties are likely."""
        random = np.random.default_rng(0)
        found: list[Any] = []
        for kind in self.kinds:
            if kind == "b":
                found.append(jnp.asarray(random.integers(0, 2, POINTS), bool))
            elif kind == "i":
                found.append(jnp.asarray(random.integers(-1, 4, POINTS), int))
            else:
                values = random.normal(0.3, 1.0, POINTS)
                values[::2] = np.round(2 * values[::2]) / 2
                found.append(jnp.asarray(values, self.dtype))
        return found

    def jacobian(self, leaves: Sequence[Any], *, compiled: bool = False) -> Jacobian:
        """By both modes of JAX, operation by operation; where that is not known, nan.

        A branch is one only on scalars: under vmap both are evaluated.
        """
        with jax.disable_jit(not compiled):
            if not self.branches:
                mapped = jax.vmap if self.vmapped else lambda function: function
                return self._both(leaves, mapped)
            found = [self.at(leaves, k) for k in range(self.branch_points)]
            modes = [[(j.forward, j.reverse)[m] for j in found] for m in (0, 1)]
            # a custom_vjp may be met at some points alone
            known = [mode if all(j is not None for j in mode) else None for mode in modes]
            return Jacobian(*(None if mode is None else _padded(mode) for mode in known))

    def at(self, leaves: Sequence[Any], point: int) -> Jacobian:
        """At one point, without the axis of points."""
        both = self._both([leaf[point] for leaf in leaves], lambda function: function)
        modes = (both.forward, both.reverse)
        return Jacobian(*(None if mode is None else mode[0] for mode in modes))

    def _both(self, leaves: Sequence[Any], mapped: Any) -> Jacobian:
        forward = self._forward(leaves, mapped)
        return Jacobian(forward, self._reverse(leaves, mapped, forward))

    def _forward(self, leaves: Sequence[Any], mapped: Any) -> np.ndarray | None:
        columns = []
        for k in range(len(self.wrt)):

            def column(*leaves: Any, k: int = k) -> Any:
                chosen = self.chosen(leaves)
                along = lambda *chosen: self.floats(*self.replaced(leaves, chosen))  # noqa: E731
                return jax.jvp(along, tuple(chosen), tuple(_unit(chosen, k)))[1]

            try:
                columns.append(_stacked(mapped(column)(*leaves), leaves))
            except TypeError as error:
                if "custom_vjp" in str(error):
                    return None
                raise
        return np.stack(columns, axis=-1)

    def _reverse(
        self, leaves: Sequence[Any], mapped: Any, forward: np.ndarray | None
    ) -> np.ndarray | None:
        def rows(*leaves: Any) -> Any:
            of_chosen = lambda *chosen: self.floats(*self.replaced(leaves, chosen))  # noqa: E731
            outputs, pullback = jax.vjp(of_chosen, *self.chosen(leaves))
            return [pullback(_unit(outputs, k)) for k in range(len(outputs))]

        try:
            found = mapped(rows)(*leaves)
        except ValueError as error:
            if "Reverse-mode differentiation does not work" in str(error):
                # a loop that is not compiled has a reverse mode, and so do we: nothing is certain
                assert forward is not None
                return np.full_like(forward, np.nan)
            raise
        return np.stack([_stacked(row, leaves) for row in found], axis=1)


def _padded(found: Sequence[np.ndarray]) -> np.ndarray:
    """One Jacobian for each point, nan from where on there are none."""
    unknown = np.full_like(found[0], np.nan)
    return np.stack([*found, *[unknown] * (POINTS - len(found))])


def _unit(values: Sequence[Any], number: int) -> list[Any]:
    """One for the value of this number, zero for the others."""
    return [jnp.full_like(value, float(k == number)) for k, value in enumerate(values)]


def _stacked(entries: Sequence[Any], leaves: Sequence[Any]) -> np.ndarray:
    """(points, entries), in float64; what has no axis of points is the same at each."""
    count = np.size(leaves[0])
    spread = [np.broadcast_to(np.asarray(e, np.float64).reshape(-1), (count,)) for e in entries]
    return np.stack(spread, axis=-1)


def compare(
    source: Callable[[], types.ModuleType],
    generated: types.ModuleType,
    front: Front,
    extent: Extent,
) -> None:
    """Compare the generated module with its source, at points.

    The source is executed in each precision: arrays that it makes depend on it.
    """
    wide: Jacobian | None = None
    for dtype, with_64_bits in extent.settings(front.trace):
        with jax.enable_x64(with_64_bits):
            module = source()
            by_jax = Source(module, front, dtype, extent=extent)
            ours = Source(module, front, dtype, generated.step, extent)
            leaves = by_jax.points()
            # JAX compiles the rules of derivatives that a source takes
            fused = INNER.search(front.source.text) is not None
            _compare_values(by_jax, ours, leaves, fused=fused)
            if dtype == "float32":
                _compare_calls(by_jax, ours, leaves)
            jacobian = by_jax.jacobian(leaves)
            if by_jax.branches and by_jax.stacks:
                jacobian = _where_values_agree(jacobian, by_jax, ours, leaves)
            wide = wide or jacobian
            try:
                Checker(generated, by_jax, ours, jacobian, wide).check(leaves)
            except NotFiniteError:
                if not by_jax.branches:
                    raise
                # once compiled, a branch has a derivative for what it does not read: zero, which
                # becomes nan where that has an infinite one
                compiled = by_jax.jacobian(leaves, compiled=True)
                Checker(generated, by_jax, ours, compiled, wide).check(leaves)


def _where_values_agree(
    jacobian: Jacobian, by_jax: Source, ours: Source, leaves: Sequence[Any]
) -> Jacobian:
    """The Jacobian where the values at single points are those at all points at once.

    XLA rounds a quotient of many numbers otherwise than that of one, and a branch may be taken by
    what is nothing but rounding, as the variance of three equal numbers is.
    """
    with jax.disable_jit():
        together = [np.asarray(o) for o in ours.floats(*leaves)]
        differs = [
            any(
                not np.array_equal(all_[k] if all_.ndim else all_, one, equal_nan=True)
                for all_, one in zip(
                    together, by_jax.floats(*(leaf[k] for leaf in leaves)), strict=True
                )
            )
            for k in range(by_jax.branch_points)
        ]
    unknown = np.array([*differs, *[False] * (POINTS - by_jax.branch_points)])[:, None, None]
    modes = (jacobian.forward, jacobian.reverse)
    return Jacobian(*(None if m is None else np.where(unknown, np.nan, m) for m in modes))


def _compare_values(by_jax: Source, ours: Source, leaves: Sequence[Any], *, fused: bool) -> None:
    alone = [leaf[1] for leaf in leaves]
    with jax.disable_jit():
        if not by_jax.stacks:
            _assert_same_bits(ours(*alone), by_jax(*alone))
        if not by_jax.vmapped:
            if by_jax.stacks:
                _assert_close(ours(*leaves), by_jax(*leaves))
            else:
                _assert_same_bits(ours(*leaves), by_jax(*leaves))
    for k in range(0 if by_jax.vmapped else len(leaves)):
        mixed = [leaf if j == k else leaf[0] for j, leaf in enumerate(leaves)]
        _compare_shapes(by_jax, ours, mixed)
    if not fused and not by_jax.is_fused(alone):
        # XLA makes a product with a truth value a selection, where zeros have no sign
        _assert_same_bits(ours(*alone), by_jax(*alone), signed_zeros=False)


def _compare_shapes(by_jax: Source, ours: Source, leaves: Sequence[Any]) -> None:
    """Where only some of the arguments are arrays."""
    try:
        wanted = jax.eval_shape(by_jax, *leaves)
    except (TypeError, ValueError):
        return
    got = jax.eval_shape(ours, *leaves)
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        assert (one.shape, one.dtype) == (other.shape, other.dtype)


def _compare_calls(by_jax: Source, ours: Source, leaves: Sequence[Any]) -> None:
    """On leaves of several dtypes, and numbers of Python: equal to the source, or a TypeError."""
    random = np.random.default_rng(2)
    of = lambda dtype: jax.ShapeDtypeStruct((), dtype)  # noqa: E731
    weak = jax.ShapeDtypeStruct((), jnp.result_type(float), weak_type=True)
    kinds = [of("bfloat16"), of("float32"), of("float16"), weak, of("int8"), of("bool")]
    turns = [(0, 1), (3, 2), (4, 1), (0, 5)]
    mixed = [[kinds[turn[k % 2]] for k in range(len(leaves))] for turn in turns]
    mixed += [[kinds[random.integers(4)] for _ in leaves] for _ in range(2)]
    for given in mixed:
        found = _both(partial(jax.eval_shape, by_jax), partial(jax.eval_shape, ours), given)
        for one, other in found:
            assert one.dtype == other.dtype, f"{one.dtype} for {other.dtype} on {given}"
    numbers = [leaf[1] if random.integers(2) else leaf[1].item() for leaf in leaves]
    with jax.disable_jit():
        for one, other in _both(by_jax, ours, numbers):
            _assert_close(one, other)


def _both(wanted: Any, got: Any, leaves: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Ours beside the source's, leaf by leaf; nothing where the source fails, or ours refuses."""
    try:
        due = wanted(*leaves)
    except Exception:
        return []  # what the source does not take has no value
    try:
        found = got(*leaves)
    except TypeError as error:
        assert " takes " in str(error), error  # noqa: PT017
        return []
    return list(zip(jax.tree.leaves(found), jax.tree.leaves(due), strict=True))


def _assert_same_bits(got: Any, wanted: Any, *, signed_zeros: bool = True) -> None:
    # the generated file may have classes of its own
    assert str(jax.tree.structure(got)) == str(jax.tree.structure(wanted))
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        other = jnp.asarray(other)
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))
        if one.dtype.kind == "f" and signed_zeros:
            np.testing.assert_array_equal(_signs(one), _signs(other))


def _assert_close(got: Any, wanted: Any) -> None:
    """Up to the rounding of functions, which depends on where in an array a number stands."""
    assert str(jax.tree.structure(got)) == str(jax.tree.structure(wanted))
    for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(wanted), strict=True):
        one, other = jnp.asarray(one), jnp.asarray(other)
        assert (one.shape, one.dtype) == (other.shape, other.dtype)
        close = 1000 * float(jnp.finfo(one.dtype).eps) if one.dtype.kind == "f" else 0
        np.testing.assert_allclose(np.asarray(one), np.asarray(other), close, close)


def _signs(x: Any) -> np.ndarray:
    return np.signbit(x) & ~np.isnan(x)


class Checker:
    """Compares the derivatives of a generated module with JAX's."""

    def __init__(
        self,
        generated: types.ModuleType,
        by_jax: Source,
        ours: Source,
        jacobian: Jacobian,
        wide: Jacobian,
    ) -> None:
        self.generated = generated
        self.by_jax = by_jax
        self.ours = ours
        self.jacobian = jacobian
        self.wide = wide
        self.certain = jacobian.certain & wide.certain
        self.exact = np.where(self.certain, wide.known, 0.0)
        self.allowed = np.where(self.certain, self._tolerance(), 0.0)
        random = np.random.default_rng(1)
        self.row_weights = random.normal(size=jacobian.known.shape[:2])
        self.column_weights = random.normal(size=jacobian.known.shape[::2])

    def _tolerance(self) -> np.ndarray:
        """Some ulps of the largest derivative at the point, and what JAX's own modes are off."""
        eps = float(jnp.finfo(self.by_jax.dtype).eps)
        size = np.abs(self.exact)
        scale = np.maximum(size.max(axis=(1, 2), keepdims=True, initial=0.0), 1.0)
        with np.errstate(invalid="ignore"):
            off = np.max([np.abs(mode - self.wide.known) for mode in self.jacobian.modes], axis=0)
        off = np.nan_to_num(off, nan=0.0, posinf=0.0).max(axis=(1, 2), keepdims=True)
        narrow = 16 * float(jnp.finfo(jnp.float32).eps) if self.by_jax.narrows else 0.0
        return np.broadcast_to(max(1000 * eps, narrow) * scale + 4 * off, size.shape)

    def check(self, leaves: Sequence[Any]) -> None:
        """The Jacobian of one neuron, then all derivatives at all points at once."""
        alone = [leaf[0] for leaf in leaves]
        positional, keyword = self.by_jax.arguments(alone)
        # as it is called eagerly
        nested = self.generated.step_jacobian(*positional, **keyword)
        entries = np.array(jax.tree.leaves(nested), np.float64).reshape(self.exact.shape[1:])
        self._assert_within(entries, self.exact[0], self.allowed[0], self.certain[0])
        positional, keyword = self.by_jax.arguments(leaves)
        with jax.disable_jit():
            value, nested = self.generated.step_value_and_jacobian(*positional, **keyword)
            _assert_same_bits(value, self.ours(*leaves))
            entries = _stacked(jax.tree.leaves(nested), leaves).reshape(self.exact.shape)
            self._assert_entries(entries)
            cotangents = self._cotangents(value)
            pulled = jax.vjp(
                lambda *chosen: self.ours(*self.by_jax.replaced(leaves, chosen)),
                *self.by_jax.chosen(leaves),
            )[1](cotangents)
            self._assert_columns(_stacked(pulled, leaves))
            if self.by_jax.keywords:
                return
            pulled = self.generated.step_vjp(positional, cotangents)
            self._assert_columns(_stacked(jax.tree.leaves(pulled), leaves))
            again, pushed = self.generated.step_jvp(positional, self._tangents(leaves))
            _assert_same_bits(again, value)
            rows = [t for t in jax.tree.leaves(pushed) if t.dtype != jax.dtypes.float0]
            self._assert_rows(_stacked(rows, leaves))

    def _assert_within(self, got: Any, wanted: Any, allowed: Any, certain: Any) -> None:
        with np.errstate(invalid="ignore"):
            wrong = certain & ~(np.abs(got - wanted) <= allowed)
        if wrong.any():
            kind = AssertionError if np.isfinite(got[wrong]).all() else NotFiniteError
            raise kind(
                f"{self.by_jax.dtype}\n{wrong=}\n{got=}\n{wanted=}\n{allowed=}\n"
                f"forward={self.jacobian.forward}\nreverse={self.jacobian.reverse}"
            )

    def _assert_entries(self, entries: np.ndarray) -> None:
        self._assert_within(entries, self.exact, self.allowed, self.certain)
        if len(self.jacobian.modes) < 2:
            return
        # where one mode alone is finite: that one, or nothing
        forward, reverse = self.jacobian.modes
        only = np.isfinite(forward) ^ np.isfinite(reverse)
        one = np.where(np.isfinite(forward), forward, reverse)
        both = only & np.isfinite(entries)
        # that one may be far off as well, which the other precision tells
        with np.errstate(invalid="ignore"):
            off = np.where(self.wide.certain, np.abs(one - self.wide.known), 0.0)
        allowed = 1e-3 * np.maximum(np.abs(one), 1.0) + 4 * np.nan_to_num(off, posinf=0.0)
        self._assert_within(entries, one, allowed, both)

    def _assert_columns(self, got: np.ndarray) -> None:
        wanted = np.einsum("po,poi->pi", self.row_weights, self.exact)
        allowed = np.einsum("po,poi->pi", np.abs(self.row_weights), self.allowed)
        self._assert_within(got, wanted, allowed, self.certain.all(axis=1))

    def _assert_rows(self, got: np.ndarray) -> None:
        wanted = np.einsum("poi,pi->po", self.exact, self.column_weights)
        allowed = np.einsum("poi,pi->po", self.allowed, np.abs(self.column_weights))
        self._assert_within(got, wanted, allowed, self.certain.all(axis=2))

    def _cotangents(self, value: Any) -> Any:
        """The weights on a result's floats, float0 on the rest."""
        remaining = iter(self.row_weights.T)

        def cotangent(leaf: Any) -> Any:
            if not jnp.issubdtype(leaf.dtype, jnp.floating):
                return np.zeros(leaf.shape, jax.dtypes.float0)
            weights = next(remaining)
            return jnp.asarray(weights if leaf.shape else weights[0], leaf.dtype)

        return jax.tree.map(cotangent, value)

    def _tangents(self, leaves: Sequence[Any]) -> tuple[Any, ...]:
        remaining = iter(self.column_weights.T)
        wrt = self.by_jax.wrt
        tangents = [
            jnp.asarray(next(remaining), leaf.dtype) if k in wrt else None
            for k, leaf in enumerate(leaves)
        ]
        positional, _ = self.by_jax.arguments(tangents)
        return positional
