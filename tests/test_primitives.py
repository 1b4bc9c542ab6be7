"""Every primitive and operand against `jax.jvp`, through the whole pipeline, ties included."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import pytest
from compiling import run_compiled
from generating import Generated, generate_text
from jax.extend.core import primitives as jax_primitives
from primitive_cases import (
    ACTIVATIONS,
    BETA,
    BINARY,
    CONTROL,
    DOT,
    HEADER,
    INLINED,
    INTEGER,
    SHORT_AXES,
    SPECIAL,
    STACKED,
    TERNARY,
    UNARY,
    expressions,
)

from gradgen.errors import GradgenError
from gradgen.frontend.tracing import primitives
from gradgen.frontend.tracing.interpret import HANDLERS

NO_LIMIT = np.array([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 2.0, 3.0, -2.0, 1.5, 2.5, 20.0, -20.0])
# JAX's own rules cancel or overflow here; ours are the functions' true derivatives
RULES = {
    ("lax.expm1(x)", "x"): lambda x: jax.lax.exp(x),
    ("x / y", "y"): lambda x, y: -(x / y) / y,
    ("1.0 / x", "x"): lambda x: -(1.0 / x) / x,
}
# what is rounded in x * x is multiplied by x * x in exp(-x * x); XLA computes a polygamma of
# order one otherwise where it is compiled for that order
ULPS = {"lax.erf(x)": 512, "lax.erfc(x)": 512, "lax.digamma(x)": 16}
POINTS = 600
DTYPES = ("float32", "float64")
EXTREME = np.array([np.inf, -np.inf, np.nan, 1e30, -1e30, 1e-30, 88.0, -100.0])


@pytest.fixture
def wide(pytestconfig) -> tuple[str, ...]:
    """The precisions for code that is written without a number that depends on them."""
    return DTYPES if pytestconfig.getoption("--full") else ("float64",)


@pytest.fixture(autouse=True)
def _quick(pytestconfig, monkeypatch) -> None:
    """The normal run compares values beside the Jacobian in one precision alone."""
    monkeypatch.setattr(Comparison, "thorough", pytestconfig.getoption("--full"))


def batches(name: str, text: str, size: int = 24) -> list[Any]:
    found = expressions(text)
    return [
        pytest.param(found[k : k + size], id=f"{name}{k // size}")
        for k in range(0, len(found), size)
    ]


def build(tmp_path, cases: list[str], signature: str, first: str = "", **options) -> Generated:
    """A step that returns every case; which order it is differentiated in is no matter."""
    lines = "".join(f"        {case},\n" for case in cases)
    return generate_text(
        tmp_path,
        f"{HEADER}\ndef step({signature}):\n    {first}\n    return (\n{lines}    )\n",
        order="forward",
        **options,
    )


def grid(count: int, *, extreme: bool = True, seed: int = 0) -> list[np.ndarray]:
    """Every combination of points at which something happens, and random points."""
    random = np.random.default_rng(seed)
    special = np.concatenate([NO_LIMIT, EXTREME]) if extreme else NO_LIMIT
    if count == 3:
        special = special[[0, 1, 2, 3, 6, 8, 13, 15]] if extreme else special[[0, 1, 2, 3, 6, 8]]
    combined = np.array(list(itertools.product(special, repeat=count)))
    # one shape for all, so that each operation is compiled once
    scattered = random.normal(0, 3, (POINTS - len(combined), count))
    return list(np.concatenate([combined, scattered]).T)


class Comparison:
    """Ours against JAX's: values eagerly, bit by bit, and derivatives as one program."""

    thorough = True

    def __init__(self, generated: Generated, cases: list[str], *, vmapped: bool = False) -> None:
        self.generated = generated
        self.cases = cases
        self.source = jax.vmap(generated.source) if vmapped else generated.source
        self.failures: list[str] = []

    def run(
        self,
        arguments: list[Any],
        *,
        value_ulps: float = 0,
        ulps: float = 4,
        signed_zeros: bool = True,
        beside: bool = True,
    ) -> None:
        # what JAX jits, XLA may round otherwise
        self.composite = value_ulps > 0
        self.signed_zeros = signed_zeros
        names = [i.path for i in self.generated.front.trace.inputs]
        wanted = self.source(*arguments)
        got = self.generated.function()(*arguments)
        for case, one, due in zip(self.cases, got, wanted, strict=True):
            self.compare(case, "value", one, due, value_ulps, arguments)
        if beside:
            again, _ = self.generated.function("value_and_jacobian")(*arguments)
            for case, one, due in zip(self.cases, again, wanted, strict=True):
                self.compare(case, "value beside the Jacobian", one, due, value_ulps, arguments)
        entries, pushed = run_compiled(self.derivatives, *arguments)
        for slot, name in enumerate(names):
            if slot not in pushed:
                continue
            x, tangents = arguments[slot], pushed[slot]
            for k, case in enumerate(self.cases):
                if tangents[k] is None:
                    assert (str(k), name) not in entries
                    continue
                if (case, name) in RULES:
                    tangents[k] = RULES[case, name](*arguments)
                entry = np.asarray(entries.get((str(k), name), np.zeros((), x.dtype)))
                assert entry.dtype == x.dtype, (case, name, entry.dtype)
                entry = np.broadcast_to(entry, np.shape(tangents[k]))
                allowed = ULPS.get(case, ulps)
                self.compare(case, f"d/d{name}", entry, tangents[k], allowed, arguments)

    def types(self, *arguments: Any) -> None:
        """Shapes and dtypes alone, for which nothing is compiled."""
        values, due = (
            jax.eval_shape(f, *arguments) for f in (self.generated.function(), self.source)
        )
        entries, pushed = jax.eval_shape(self.derivatives, *arguments)
        for k, (case, one, other) in enumerate(zip(self.cases, values, due, strict=True)):
            assert (one.dtype, one.shape) == (other.dtype, other.shape), case
            for slot, tangents in pushed.items():
                path = self.generated.front.trace.inputs[slot].path
                entry, tangent = entries.get((str(k), path)), tangents[k]
                if entry is not None:
                    assert entry.dtype == arguments[slot].dtype, (case, path)
                    assert entry.shape in ((), tangent.shape), (case, path)

    def derivatives(self, *arguments: Any) -> Any:
        """Ours, by their paths, and JAX's by each argument of floats, None of what is no float."""
        pushed = {}
        for slot, x in enumerate(arguments):
            if x.dtype.kind == "f":

                def along(x, slot=slot):
                    return self.source(*arguments[:slot], x, *arguments[slot + 1 :])

                tangents = jax.jvp(along, (x,), (jax.numpy.ones_like(x),))[1]
                pushed[slot] = [None if t.dtype == jax.dtypes.float0 else t for t in tangents]
        return self.generated.function("jacobian_entries")(*arguments), pushed

    def compare(self, case, what, got, wanted, ulps, arguments) -> None:
        got, wanted = np.asarray(got), np.asarray(wanted)
        assert (got.dtype, got.shape) == (wanted.dtype, wanted.shape), (case, what)
        if wanted.dtype.kind != "f":
            wrong = got != wanted
        elif what.startswith("value") and not ulps:
            unsigned = f"u{wanted.dtype.itemsize}"
            wrong = (got.view(unsigned) != wanted.view(unsigned)) & ~(
                np.isnan(got) & np.isnan(wanted)
            )
            if not self.signed_zeros:
                wrong &= got != wanted
        else:
            both = np.isfinite(got) & np.isfinite(wanted)
            with np.errstate(all="ignore"):
                scale = np.maximum(np.abs(wanted), 1.0 if self.composite else 0.0)
                near = np.abs(got - wanted) <= ulps * np.spacing(scale.astype(wanted.dtype))
                # what is subnormal on the way is flushed to zero
                near |= np.abs(got - wanted) <= 2 * jax.numpy.finfo(wanted.dtype).tiny
            # a derivative of several operations may be finite where JAX's is not
            alike = (
                ~np.isfinite(wanted) if self.composite else np.isfinite(got) == np.isfinite(wanted)
            )
            wrong = ~np.where(both, near, alike)
            if what.startswith("value"):
                wrong |= ~both & ~((got == wanted) | (np.isnan(got) & np.isnan(wanted)))
        for index in np.argwhere(wrong)[:1]:
            point = [float(np.broadcast_to(a, wanted.shape)[tuple(index)]) for a in arguments]
            self.failures.append(
                f"{case}: {what} at {point}: {got[tuple(index)]!r}, JAX {wanted[tuple(index)]!r}"
            )
        if np.any(wrong):
            self.failures[-1] += f" ({int(np.sum(wrong))} of {wrong.size} points)"


def compare(
    generated: Generated,
    cases: list[str],
    points: list[Any],
    *,
    vmapped: bool = False,
    dtypes: Sequence[str] = DTYPES,
    **tolerance,
) -> None:
    """On all points at once; what is exact also on five, and on one."""
    comparison = Comparison(generated, cases, vmapped=vmapped)
    for dtype in dtypes:
        beside = comparison.thorough or dtype == dtypes[0]
        with jax.enable_x64(dtype == "float64"):
            typed = [
                jax.numpy.asarray(p, dtype if np.asarray(p).dtype.kind == "f" else None)
                for p in points
            ]
            comparison.run(typed, beside=beside, **tolerance)
            if dtype == "float32" and not vmapped and not tolerance:
                for some in ([p[-5:] for p in typed], [p[-7] for p in typed]):
                    comparison.types(*some)
                    if comparison.thorough:
                        comparison.run(some, beside=False, **tolerance)
    assert not comparison.failures, "\n" + "\n".join(comparison.failures)


@pytest.mark.parametrize("cases", batches("unary", UNARY))
def test_of_one_operand(cases, tmp_path):
    compare(build(tmp_path, cases, "x"), cases, grid(1))


@pytest.mark.parametrize("cases", batches("binary", BINARY))
def test_of_two_operands(cases, tmp_path):
    compare(build(tmp_path, cases, "x, y"), cases, grid(2))


@pytest.mark.parametrize("cases", batches("ternary", TERNARY))
def test_of_three_operands(cases, tmp_path):
    compare(build(tmp_path, cases, "x, y, z"), cases, grid(3))


@pytest.mark.parametrize("cases", batches("inlined", INLINED))
def test_functions_that_jax_jits(cases, tmp_path):
    compare(build(tmp_path, cases, "x, y"), cases, grid(2, extreme=False), value_ulps=4, ulps=32)


@pytest.mark.parametrize("cases", batches("activation", ACTIVATIONS))
def test_activations(cases, wide, tmp_path):
    points = grid(1, extreme=False)
    compare(build(tmp_path, cases, "x"), cases, points, dtypes=wide, value_ulps=4, ulps=64)


def test_special_functions(wide, tmp_path, pytestconfig):
    # of order one XLA computes it otherwise where it is compiled for that order, and optimises both
    optimised = pytestconfig.getoption("--full")
    cases = [c for c in expressions(SPECIAL) if optimised or "polygamma(1.0" not in c]
    points = [np.abs(p) + 0.1 for p in grid(2, extreme=False)]
    compare(build(tmp_path, cases, "x, y"), cases, points, dtypes=wide, ulps=16)
    points = [np.abs(p) + 0.1 for p in grid(3, extreme=False)]
    points[2] = points[2] / 30.0
    cases = [BETA, "x"]
    compare(build(tmp_path, cases, "x, y, z"), cases, points, dtypes=wide, ulps=64)


@pytest.mark.parametrize("cases", batches("integer", INTEGER))
def test_integers_and_truth_values(cases, tmp_path):
    # integers of JAX's default dtype, beside which no other is promoted
    k, j = (p.astype(np.int64) for p in grid(2, extreme=False, seed=1))
    x, _ = grid(2, extreme=False)
    j = np.where(j == 0, 7, j)
    compare(build(tmp_path, cases, "x, k: int, j: int, b: bool"), cases, [x, k, j, k > 0])


@pytest.mark.parametrize("cases", batches("stacked", STACKED))
def test_short_axes(cases, wide, tmp_path):
    generated = build(tmp_path, cases, "x, y, z", SHORT_AXES, per_neuron=True)
    # XLA sums from +0, so that minus zeros add up to zero
    points = grid(3, extreme=False)
    compare(generated, cases, points, vmapped=True, dtypes=wide, signed_zeros=False)


@pytest.mark.parametrize("cases", [expressions(DOT), expressions(CONTROL)], ids=["dot", "control"])
def test_products_and_control_flow(cases, wide, tmp_path):
    generated = build(tmp_path, cases, "x, y, z", SHORT_AXES, per_neuron=True)
    points = grid(3, extreme=False)
    compare(generated, cases, points, vmapped=True, dtypes=wide, value_ulps=16, ulps=32)


def test_backward_rules(tmp_path):
    # JAX applies such a rule in reverse mode alone
    generated = build(tmp_path, ["slope(x) * y", "slope(x * y)"], "x, y")
    x, y = (jax.numpy.asarray(p) for p in grid(2, extreme=False))
    entries = generated.function("jacobian_entries")(x, y)
    for k in range(2):
        _, pull = jax.vjp(lambda *a, k=k: generated.source(*a)[k], x, y)
        for name, wanted in zip("xy", pull(jax.numpy.ones_like(x)), strict=True):
            np.testing.assert_allclose(entries[str(k), name], wanted, rtol=1e-6)


@pytest.mark.parametrize("case", ["x * (x > 0)", "(x > 0) * x", "x + (x > 0)", "x * b", "b * x"])
def test_truth_values_that_jax_promotes(case, tmp_path):
    # within its own product JAX turns a converted truth value into a choice: -1 * False is +0
    cases = [case, "x"]
    compare(build(tmp_path, cases, "x, b: bool"), cases, [grid(1)[0], grid(1)[0] > 1])


@pytest.mark.parametrize(
    ("case", "primitive"),
    [
        ("lax.nextafter(x, y)", "nextafter"),
        ("lax.zeta(x, y)", "zeta"),
        ("lax.polygamma(x, lax.stop_gradient(y))", "polygamma"),
        ("lax.betainc(x, y, y)", "regularized_incomplete_beta"),
        ("lax.igamma_grad_a(x, y)", "igamma_grad_a"),
    ],
)
def test_what_jax_cannot_differentiate(case, primitive, tmp_path):
    function = eval(f"lambda x, y: {case}", {"lax": jax.lax})
    try:
        jax.jvp(function, (1.5, 2.5), (1.0, 1.0))
    except (NotImplementedError, ValueError):
        pass
    else:
        pytest.skip("this version of JAX can")
    with pytest.raises(GradgenError, match=f"JAX has no derivative of the primitive '{primitive}'"):
        build(tmp_path, [case, "x"], "x, y")


def primitives_in(jaxpr: Any) -> set[str]:
    found = set()
    for eqn in jaxpr.eqns:
        found.add(eqn.primitive.name)
        for value in jax.tree.leaves(eqn.params, is_leaf=lambda p: hasattr(p, "eqns")):
            inner = getattr(value, "jaxpr", value)
            if hasattr(inner, "eqns"):
                found |= primitives_in(inner)
    return found


def test_every_primitive_is_met(tmp_path):
    met: set[str] = set()
    groups = [
        UNARY,
        BINARY,
        INLINED,
        SPECIAL,
        TERNARY,
        BETA,
        ACTIVATIONS,
        STACKED,
        DOT,
        CONTROL,
        INTEGER,
    ]
    for group in groups:
        scope: dict[str, Any] = {}
        names = "x, k, j, b" if group is INTEGER else "x, y, z"
        stack = "" if group is INTEGER else SHORT_AXES
        lines = "".join(f"        {case},\n" for case in expressions(group))
        exec(f"{HEADER}\ndef step({names}):\n    {stack}\n    return (\n{lines}    )\n", scope)
        arguments = (1.0, 1, 2, True) if group is INTEGER else (1.0, 2.0, 3.0)
        met |= primitives_in(
            jax.make_jaxpr(scope["step"])(*map(jax.numpy.asarray, arguments)).jaxpr
        )
    known = {
        p.name
        for p in vars(jax_primitives).values()
        if isinstance(getattr(p, "name", None), str)
        and (p.name in HANDLERS or primitives.operation_of(p.name) or primitives.is_copy(p.name))
    }
    # made by tracing or by differentiation alone, or tested above
    made = {
        *("add_any", "copy", "closed_call", "custom_vjp_call", "empty2", "polynomial"),
        *("one_minus_square", "name"),
    }
    assert known - met <= made
