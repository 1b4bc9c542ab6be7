"""Verification accepts what is generated, and rejects every fault that is put into it."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from generating import ROOT, STYLES, each, generate, generate_text

from gradgen.compile.front import open_front, ranges_of
from gradgen.compile.verdict import subject_of
from gradgen.config import Settings
from gradgen.verify import check, floats, populations, recount
from gradgen.verify.asking import Asked, asking
from gradgen.verify.check import verify
from gradgen.verify.compiling import precision
from gradgen.verify.isolate import IsolationError, load
from gradgen.verify.oracle import Oracle
from gradgen.verify.points import input_ranges
from gradgen.verify.populations import couples_neurons
from gradgen.verify.rule import Expected, judge
from gradgen.verify.subject import Subject
from gradgen.verify.verdict import Verdict

CHEAP = ["models/lif.py", "models/cuba_lif_state.py", "models/izhikevich.py"]
CHEAP += ["tests/styles/research_ties.py", "tests/styles/research_shared_gain.py"]

PROGRAMS = ("_value_and_entries", "_vjp", "_jvp")


@cache
def subject(path: str) -> Subject:
    found = generate(ROOT / path)
    return subject_of(found.front, found.module, found.text)


_open = ExitStack()


@cache
def asked(path: str, points: int, **options: Any) -> Asked:
    """What all texts of one source are held against."""
    ranges = ranges_of(generate(ROOT / path).front)
    (one,) = _open.enter_context(asking(subject(path), ranges=ranges, points=points, **options))
    return one


def checked(path: str, text: str, points: int = 200, **options: Any) -> Verdict:
    return verify(replace(subject(path), text=text), asked(path, points, **options))


@cache
def unchanged(path: str, **options: Any) -> Verdict:
    """The verdict on what is generated, at many points; each is reached once."""
    return checked(path, subject(path).text, points=1000, **options)


@pytest.fixture
def uncounted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the counts alone, so that faults have to be found in numbers."""
    monkeypatch.setattr(check, "_counts", lambda generated: [])


class _Change(ast.NodeTransformer):
    """Applies a change to the n-th node, in one function, that it applies to."""

    def __init__(self, function: str, number: int, change: Callable[[ast.AST], ast.AST | None]):
        self.function, self.left, self.change = function, number, change
        self.inside = False

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        self.inside = node.name == self.function
        changed = self.generic_visit(node)
        self.inside = False
        return changed

    def generic_visit(self, node: ast.AST) -> ast.AST:
        node = super().generic_visit(node)
        if self.inside and self.left >= 0:
            changed = self.change(node)
            if changed is not None:
                self.left -= 1
                if self.left < 0:
                    return ast.copy_location(changed, node)
        return node


def mutate(
    text: str, function: str, number: int, change: Callable[[ast.AST], ast.AST | None]
) -> str:
    tree = _Change(function, number, change).visit(ast.parse(text))
    mutated = ast.unparse(ast.fix_missing_locations(tree))
    assert mutated != ast.unparse(ast.parse(text)), "nothing to change"
    return mutated


def substitute(path: str, pattern: str, replacement: str, count: int = 1) -> str:
    text = subject(path).text
    mutated = re.sub(pattern, replacement, text, count=count)
    assert mutated != text, "nothing to change"
    return mutated


def other_operator(node: ast.AST) -> ast.AST | None:
    swapped = {ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult}
    if isinstance(node, ast.BinOp) and type(node.op) in swapped:
        return ast.BinOp(node.left, swapped[type(node.op)](), node.right)
    return None


def dropped_term(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
        return node.left
    return None


def shifted_constant(node: ast.AST) -> ast.AST | None:
    if isinstance(node, ast.Constant) and type(node.value) is float and node.value != 0:
        return ast.Constant(node.value * 1.001)
    return None


def swapped_entries(node: ast.AST) -> ast.AST | None:
    """In the tuple that is returned last."""
    if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
        last = node.value
        while isinstance(last.elts[-1], ast.Tuple):
            last = last.elts[-1]
        last.elts[-1], last.elts[-2] = last.elts[-2], last.elts[-1]
        return node
    return None


@pytest.mark.parametrize("path", each(*CHEAP, representatives=("research_ties",)))
def test_generated_text_is_exact(path: str) -> None:
    report = unchanged(path)
    assert report.exact, report.pretty()
    assert report.kind == "exact"
    assert report.summary().startswith("exact: ")
    assert report.worst("float32") <= 8
    assert report.worst("float64") <= 8


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    "number", [0, *(pytest.param(k, marks=pytest.mark.full) for k in (3, 6)), 9]
)
@pytest.mark.usefixtures("uncounted")
def test_another_operator_is_found(program: str, number: int) -> None:
    path = "models/cuba_lif_state.py"
    text = mutate(subject(path).text, program, number, other_operator)
    report = checked(path, text, dtypes=("float32",))
    assert report.kind == "inexact", report.pretty()
    assert report.failure is not None
    assert report.failure.pretty()


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.usefixtures("uncounted")
def test_a_dropped_term_is_found(program: str) -> None:
    path = "models/cuba_lif_state.py"
    text = mutate(subject(path).text, program, 4, dropped_term)
    assert checked(path, text, dtypes=("float64",)).kind == "inexact"


@pytest.mark.parametrize(
    "path", ["models/lif.py", pytest.param("models/izhikevich.py", marks=pytest.mark.full)]
)
@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.usefixtures("uncounted")
def test_a_constant_that_is_off_by_a_thousandth_is_found(path: str, program: str) -> None:
    text = mutate(subject(path).text, program, 2, shifted_constant)
    assert checked(path, text, dtypes=("float32",)).kind == "inexact"


@pytest.mark.parametrize("program", PROGRAMS)
def test_swapped_results_are_found(program: str) -> None:
    text = mutate(subject("models/lif.py").text, program, 0, swapped_entries)
    report = checked("models/lif.py", text, dtypes=("float64",))
    assert report.kind == "inexact"
    assert report.failure is not None
    assert report.failure.point
    assert report.failure.entry


@pytest.mark.usefixtures("uncounted")
def test_another_bit_of_the_primal_is_found() -> None:
    def changed(node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
            again = ast.BinOp(node.right, ast.Add(), node.left)
            return ast.BinOp(again, ast.Mult(), ast.Constant(1.0 + 2.0**-23))
        return None

    text = mutate(subject("models/lif.py").text, "_primal", 0, changed)
    report = checked("models/lif.py", text, dtypes=("float32",))
    assert report.failure is not None
    assert report.failure.function == "f"
    assert "bit-identical" in report.failure.message


@pytest.mark.usefixtures("uncounted")
def test_a_wrong_convention_on_a_tie_is_found() -> None:
    path = "tests/styles/research_ties.py"

    def one_for_half(node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.Call) and "0.5" in map(ast.unparse, node.args):
            arguments = [ast.Constant(1.0) if ast.unparse(a) == "0.5" else a for a in node.args]
            return ast.Call(node.func, arguments, node.keywords)
        return None

    text = mutate(subject(path).text, "_value_and_entries", 0, one_for_half)
    report = checked(path, text)
    assert report.kind == "inexact", report.pretty()


def test_cotangents_that_are_not_summed_over_neurons_are_found() -> None:
    text = substitute("models/lif.py", r"\n    if axes:\n", "\n    if axes and False:\n")
    report = checked("models/lif.py", text)
    assert report.kind == "inexact"
    assert report.failure is not None


@pytest.mark.usefixtures("uncounted")
def test_code_that_overflows_is_told_from_code_that_is_wrong() -> None:
    path = "models/izhikevich.py"

    def infinite_detour(node: ast.AST) -> ast.AST | None:
        # x * 1e30 * 1e30 / 1e30 / 1e30: right in float64, infinite in float32
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            entries = node.value.elts[-1]
            assert isinstance(entries, ast.Tuple)
            entries.elts[-1] = ast.parse(
                f"(({ast.unparse(entries.elts[-1])}) * 1e30 * 1e30) / 1e30 / 1e30", mode="eval"
            ).body
            return node
        return None

    text = mutate(subject(path).text, "_value_and_entries", 0, infinite_detour)
    report = checked(path, text)
    assert report.kind == "nonfinite", report.pretty()


def test_a_silent_zero_is_found() -> None:
    text = substitute("models/lif.py", r'_constant\(a, "a"\)', "a")
    report = checked("models/lif.py", text)
    assert report.failure is not None
    assert "a is held constant" in report.failure.message


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (r"return jnp\.broadcast_to\(jnp\.asarray\(value\).*",
         "return jnp.asarray(value)[None]"),
        (r"\.astype\(output\.dtype\)", ".astype(jnp.float16)"),
        (r"return value\.astype\(primal\.dtype\)", "return value.astype(jnp.float16)"),
    ],
)  # fmt: skip
def test_another_shape_or_dtype_is_found(pattern: str, replacement: str) -> None:
    report = checked("models/lif.py", substitute("models/lif.py", pattern, replacement))
    assert report.kind == "inexact"


def test_another_container_is_found() -> None:
    text = substitute("models/lif.py", r"return outputs, _jacobian\(outputs, entries\)",
                      "return list(outputs), _jacobian(outputs, entries)")  # fmt: skip
    report = checked("models/lif.py", text)
    assert report.failure is not None
    assert "structure" in report.failure.message


def test_wrong_counts_are_found() -> None:
    text = substitute("models/lif.py", r'"total": (\d+)', '"total": 99')
    report = checked("models/lif.py", text)
    assert report.failure is not None
    assert "counts differ" in report.failure.message
    text = mutate(subject("models/lif.py").text, "_vjp", 0, other_operator)
    assert not checked("models/lif.py", text).exact


def test_a_missing_function_and_an_import_of_gradgen_are_found() -> None:
    text = substitute("models/lif.py", r"def lif_step_jvp", "def lif_step_jvq")
    report = checked("models/lif.py", text)
    assert report.failure is not None
    assert "lif_step_jvp" in report.failure.message
    report = checked("models/lif.py", "import gradgen.ir\n" + subject("models/lif.py").text)
    assert report.failure is not None
    assert report.failure.function == "import"


def test_isolation() -> None:
    for text in ("import scipy", "from gradgen import ir", "from . import x", "x =", "1 / 0"):
        with pytest.raises(IsolationError):
            load(text)
    module = load(
        "import math\nfrom typing import NamedTuple\n\nclass P(NamedTuple):\n    x: int\n"
    )
    assert module.P(1).x == 1


@pytest.mark.parametrize(
    ("expression", "counts"),
    [
        ("x + y - 2.0 * x / y", {"add": 1, "sub": 1, "mul": 1, "div": 1, "total": 4}),
        ("x**2", {"mul": 1, "total": 1}),
        ("x**7", {"mul": 4, "total": 4}),
        ("x**-2", {"mul": 1, "div": 1, "total": 2}),
        ("x**y + x**0.5", {"transcendental": 2, "add": 1, "total": 3}),
        ("-x", {"neg": 1, "total": 0}),
        ("-2.0 * x", {"mul": 1, "total": 1}),
        ("x * 1.0", {"total": 0}),
        ("jax.nn.sigmoid(x)", {"transcendental": 1, "add": 1, "div": 1, "total": 3}),
        ("jnp.exp(-x)", {"transcendental": 1, "neg": 1, "total": 1}),
        ("jnp.clip(x, 0.0, 1.0)", {"other": 2, "total": 2}),
        ("jnp.maximum(x, y)", {"other": 1, "total": 1}),
        ("jnp.where((x > y) & (x < 1.0), x, y)", {"select": 1, "compare": 3, "total": 0}),
        ("jnp.abs(x).astype(x.dtype)", {"total": 0}),
        ("lax.erf_inv(x)", {"transcendental": 1, "total": 1}),
        ("_derivative(jnp.sinc, 0, x)", {"transcendental": 1, "total": 1}),
        ("jnp.where(x > 0.0, 1.0, 0.0)", {"compare": 1, "total": 0}),
        ("jnp.where(x > 0.0, 1.0, 0.0)", {"compare": 1, "select": 1, "total": 0}),
    ],
)
def test_recount(expression: str, counts: dict[str, int]) -> None:
    found = recount.recount(f"def f(x, y):\n    return {expression}\n")["f"]
    assert found.differs_from(counts) is None
    assert found.differs_from({**counts, "total": counts["total"] + 1}) is not None


def expected(*modes: float, scale: float = 1.0, true: float | None = None) -> Expected:
    return Expected(
        tuple(np.array([m]) for m in modes),
        () if true is None else (np.array([true]),),
        np.array([scale]),
        np.array([False]),
        np.array([False]),
    )


def test_the_rule_where_both_modes_are_finite() -> None:
    ulp = float(floats.ulp(np.array([1.0]), "float32")[0])
    assert judge(np.array([1 + 8 * ulp]), expected(1.0, 1.0), "float32").wrong is None
    assert judge(np.array([1 + 9 * ulp]), expected(1.0, 1.0), "float32").wrong == 0
    # JAX is off by 20 ulp itself
    own = expected(1.0, 1.0, true=1 + 20 * ulp)
    assert judge(np.array([1 - 39 * ulp]), own, "float32").wrong is None
    assert judge(np.array([1 - 41 * ulp]), own, "float32").wrong == 0
    verdict = judge(np.array([np.nan]), expected(1.0, 1.0), "float32")
    assert verdict.overflowed == 0
    assert verdict.wrong is None


def test_the_rule_where_one_mode_is_finite() -> None:
    one = expected(2.0, np.nan, scale=2.0)
    for found in (2.0, np.nan, np.inf):
        verdict = judge(np.array([found]), one, "float32")
        assert verdict.wrong is None
        assert verdict.overflowed is None
        assert verdict.one_finite == 1
        assert verdict.lost == (() if found == 2.0 else (0,))
    assert judge(np.array([3.0]), one, "float32").wrong == 0
    none = judge(np.array([3.0]), expected(np.inf, np.nan), "float32")
    assert none.wrong is None
    assert none.compared == 0


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_neighbouring_floats(dtype: str) -> None:
    values = np.array([1.0, -1.0, 1e-12, -1e30], dtype)
    assert np.array_equal(floats.from_ordinal(floats.ordinal(values), dtype), values)
    up = np.nextafter(values, np.array(np.inf, dtype))
    assert np.array_equal(floats.step(values, 1), up)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_products_of_neighbours_of_zero_do_not_vanish(dtype: str) -> None:
    zero = np.zeros(1, dtype)
    both = np.concatenate([floats.step(zero, 1), floats.step(zero, -1)])
    assert both[0] == -both[1] > 0.0
    assert (np.abs(both) < 1e-12).all()
    assert np.array_equal(floats.step(both, np.array([-1, 1])), [0.0, 0.0])
    with precision(dtype):
        cubes = jnp.asarray(both) ** 3
        assert (np.abs(cubes) >= np.finfo(dtype).tiny).all()
        assert (np.asarray(cubes * 1) != 0.0).all()
    smaller = np.nextafter(both, 0.0)
    assert np.array_equal(floats.from_ordinal(floats.ordinal(smaller), dtype), [0.0, 0.0])


def test_a_product_that_vanishes_in_one_order_alone_is_no_fault(tmp_path: Path) -> None:
    source = [
        "def step(v, a, b):",
        "    return jnp.where(v > 0.0, (v * a) * (1e-3 * b) * (1e3 * a), 0.5 * v)",
    ]
    found = generate_text(tmp_path, ["import jax.numpy as jnp", *source])
    due = subject_of(found.front, found.module, found.text)
    with asking(due) as (one,):
        report = verify(due, one)
    assert report.exact, report.pretty()


@pytest.mark.parametrize(
    ("ranges", "line"),
    [
        ("v=30:90 u=1:2 w=0.9:1.1", "u / (1.0 + jnp.exp(-v / w))"),
        ("v=30:90 u=1:2 w=0.9:1.1", "jnp.exp(-(v - u) / w)"),
        ("v=1:4 u=8:12 w=0.9:1.1", "w * jnp.exp(u * (v / 3.8))"),
    ],
)
def test_roundings_on_arrays_that_exponentials_amplify_are_no_fault(
    tmp_path: Path, ranges: str, line: str
) -> None:
    """XLA divides by what neurons share, a number too, by its reciprocal: in the one text or in the
    other, on arrays or on a single neuron."""
    head = ["import jax.numpy as jnp", f"# gradgen: range {ranges}"]
    found = generate_text(tmp_path, [*head, f"def step(v, u, w): return {line}, v / 3.0 / u"])
    due = subject_of(found.front, found.module, found.text)
    with asking(due, ranges=ranges_of(found.front), points=300) as (one,):
        report = verify(due, one)
        assert report.exact, report.pretty()
        assert report.worst("float64") <= 8.0
        text = found.text.replace("\n    if axes:\n", "\n    if axes and False:\n")
        assert text != found.text
        assert verify(replace(due, text=text), one).kind == "inexact"


def test_boundaries_are_found_on_both_sides_and_exactly() -> None:
    assert unchanged("tests/styles/research_ties.py").boundary_points > 20


QUADRATIC = [
    "import jax.numpy as jnp",
    "def flow(v, i, dt=0.1):",
    "    # no root of zero: the derivative there is what is left of large terms that cancel",
    "    root = jnp.sqrt(jnp.abs(jnp.where(i != 0.0, i, i + 1e-6)))",
    "    up = root * jnp.tan(jnp.arctan(v / root) + root * dt)",
    "    return jnp.where(i >= 0.0, up, v - jnp.tanh(i) * dt)",
]


@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.full), "float64"])
@pytest.mark.usefixtures("uncounted")
def test_what_cancels_at_zero_is_held_against_its_scale_there(
    tmp_path: Path, dtype: str, pytestconfig: pytest.Config
) -> None:
    found = generate_text(tmp_path, QUADRATIC)
    due = subject_of(found.front, found.module, found.text)
    with asking(due, dtypes=(dtype,)) as (one,):
        report = verify(due, one)
        assert report.exact, report.pretty()
        changes = (other_operator, dropped_term, shifted_constant)
        faults = list(itertools.product(PROGRAMS, changes))
        # of every fourth, each is of another program and another change
        for program, change in faults if pytestconfig.getoption("--full") else faults[::4]:
            text = mutate(found.text, program, 1, change)
            report = verify(replace(due, text=text), one)
            assert report.kind == "inexact", f"{program} {change.__name__}"


@pytest.mark.usefixtures("uncounted")
@pytest.mark.parametrize("condition", ["x0 & (v > 1e-9)", "x0 | ((v < 0.0) & (v > -1e-9))"])
def test_a_fault_on_one_side_of_a_tie_at_zero_is_found(tmp_path: Path, condition: str) -> None:
    source = ["def step(v, x):", "    return jnp.where(v > 0.0, 2.0 * v, v * x)"]
    found = generate_text(tmp_path, ["import jax.numpy as jnp", *source])
    due = subject_of(found.front, found.module, found.text)
    right = "ct_v = ct_out * jnp.where(x0, 2.0, x)"
    assert right in found.text
    text = found.text.replace(right, f"ct_v = ct_out * jnp.where({condition}, 2.0, x)")
    with asking(due, points=50) as (one,):
        assert verify(due, one).exact
        report = verify(replace(due, text=text), one)
        assert report.kind == "inexact", report.pretty()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_source_is_called_on_arrays_in_whichever_dtype_is_compared(dtype: str) -> None:
    report = unchanged("models/lif.py", dtypes=(dtype,))
    assert report.exact, report.pretty()
    assert [t.dtype for t in report.tallies if t.function == "source"] == [dtype]


def test_warnings() -> None:
    report = unchanged("tests/styles/research_sqrt_branch.py", dtypes=("float64",))
    assert report.exact
    assert any("not finite" in warning for warning in report.warnings)


TAU = [
    "import jax.numpy as jnp",
    "def step(v, x, tau, y):",
    "    return v * x / tau, jnp.sin(y) + v",
]


def test_points_of_ranges_that_nobody_stated_are_left_out(tmp_path: Path) -> None:
    found = generate_text(tmp_path, TAU)
    small = subject_of(found.front, found.module, found.text)
    leaves = [np.array(values, np.float32) for values in ([1, 2], [1, 0], [0, 2], [1, 1])]
    oracle = Oracle(small, leaves)
    reference = oracle(leaves)
    assert reference.broken.tolist() == [True, False]
    for stated in itertools.product((None, (0.0, 1.0)), repeat=4):
        # it is tau that is zero, so that its range decides
        due = [stated[2] is None, False]
        assert oracle.left_out(leaves, reference, stated).tolist() == due


DAMPED = [
    "import jax, jax.numpy as jnp",
    "@jax.custom_jvp",
    "def fire(x):",
    "    return jnp.heaviside(x, 0.0)",
    "@fire.defjvp",
    "def rule(primals, tangents):",
    "    return fire(primals[0]), tangents[0] * jnp.exp(-jnp.abs(primals[0]))",
    "def step(v, k):",
    "    return v + fire(k * v)",
]
BACKWARDS = [
    *DAMPED[:1],
    "@jax.custom_gradient",
    "def fire(x):",
    "    return jnp.heaviside(x, 0.0), lambda g: g * jnp.exp(-jnp.abs(x))",
    *DAMPED[-2:],
]


@pytest.mark.usefixtures("uncounted")
@pytest.mark.parametrize("source", [DAMPED, BACKWARDS])
def test_products_may_overflow_where_those_of_jax_do(tmp_path: Path, source: list[str]) -> None:
    # k * dv is infinite, and zero times that no number, though all entries are finite
    found = generate_text(tmp_path, source, emit=("jvp",))

    def without_a_number(node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            first, *others = map(ast.unparse, node.value.elts[-1].elts)
            node.value.elts[-1] = ast.parse(f"({first} + 0.0 * (v * 1e38 * 1e38), *{others})").body
            return node
        return None

    options = {"ranges": {"k": (2e38, 3e38)}, "dtypes": ("float32",), "points": 50}
    due = subject_of(found.front, found.module, found.text)
    with asking(due, **options) as (one,):
        report = verify(due, one)
        assert report.exact, report.pretty()
        text = mutate(found.text, "_jvp", 0, without_a_number)
        report = verify(replace(due, text=text), one)
        assert report.kind == "nonfinite", report.pretty()


FORWARDS = [
    "from jax import lax",
    "def step(v, k):",
    "    def scaled(turn): return turn[0] + 1, k * turn[1]",
    "    return lax.while_loop(lambda turn: turn[0] < 2, scaled, (0, v))[1]",
]
"""Through a loop that ends by itself JAX has no reverse mode."""


@pytest.mark.parametrize("source", [DAMPED, BACKWARDS, FORWARDS])
def test_products_by_jax_are_those_of_its_jacobian(tmp_path: Path, source: list[str]) -> None:
    found = generate_text(tmp_path, source)
    small = subject_of(found.front, found.module, found.text)
    leaves = [np.array(values, np.float32) for values in ([1.5, -0.5], [0.25, 2.0])]
    vectors = np.array([[2.0, -1.0], [0.5, 3.0]], np.float32)
    oracle = Oracle(small, leaves)
    (jacobian,) = oracle(leaves).modes[-1]
    pushed = (jacobian * vectors).sum(0)
    np.testing.assert_allclose(oracle.pushed(leaves, vectors), [pushed], rtol=1e-6)
    pulled = jacobian * vectors[0]
    np.testing.assert_allclose(oracle.pulled(leaves, vectors[:1]), pulled, rtol=1e-6)


@pytest.mark.usefixtures("uncounted")
@pytest.mark.parametrize("ranges", [{}, {"tau": (0.0, 1.0)}])
def test_orders_are_rejected_in_stated_ranges_alone(
    tmp_path: Path, ranges: dict[str, tuple[float, float]]
) -> None:
    found = generate_text(tmp_path, TAU)

    def spoiled(node: ast.AST) -> ast.AST | None:
        # nan at tau = 0, where the other entries are infinite
        if isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            entries = node.value.elts[-1]
            assert isinstance(entries, ast.Tuple)
            last = ast.unparse(entries.elts[-1])
            entries.elts[-1] = ast.parse(f"{last} * tau / tau", mode="eval").body
            return node
        return None

    text = mutate(found.text, "_value_and_entries", 0, spoiled)
    spoiled_subject = subject_of(found.front, found.module, text)
    with asking(spoiled_subject, ranges=ranges, dtypes=("float32",), points=50) as (one,):
        report = verify(spoiled_subject, one)
    assert report.kind == ("nonfinite" if ranges else "exact"), report.pretty()
    assert report.skipped == sum("left out" in warning for warning in report.warnings)


DISTINCT = frozenset((
    # products, nesting, loops of known and open end
    "research_matrix", "research_nested_lists", "research_scan", "research_while_newton",
    # branches, one parameter for many, methods
    "research_switch", "research_shared_gain", "jaxsnn_li_method",
))  # fmt: skip


@pytest.mark.parametrize("path", each(*map(str, STYLES), representatives=DISTINCT))
@pytest.mark.parametrize("dtype", [pytest.param("float32", marks=pytest.mark.full), "float64"])
def test_every_style_is_exact(path: str, dtype: str) -> None:
    """Models are verified with their committed files."""
    report = unchanged(path, dtypes=(dtype,))
    assert report.exact, report.pretty()


@pytest.mark.usefixtures("uncounted")
def test_reassociation_of_the_primal_is_found() -> None:
    path = "models/hodgkin_huxley.py"

    def reassociated(node: ast.AST) -> ast.AST | None:
        match node:
            case ast.BinOp(ast.BinOp(a, ast.Mult(), b), ast.Mult(), c):
                return ast.BinOp(a, ast.Mult(), ast.BinOp(b, ast.Mult(), c))
        return None

    text = mutate(subject(path).text, "_primal", 0, reassociated)
    report = checked(path, text, dtypes=("float32",))
    assert report.failure is not None, report.pretty()
    assert "bit-identical" in report.failure.message


@pytest.mark.parametrize("program", ["_value_and_entries", "_jvp"])
@pytest.mark.usefixtures("uncounted")
def test_another_bit_of_a_value_beside_a_derivative_is_found(program: str) -> None:
    # this model divides by constants, as XLA does not do alike in every context
    path = "models/hodgkin_huxley.py"

    def next_float(node: ast.AST) -> ast.AST | None:
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            return ast.BinOp(node, ast.Mult(), ast.Constant(1.0 + 2.0**-23))
        return None

    text = mutate(subject(path).text, program, 0, next_float)
    report = checked(path, text, dtypes=("float32",))
    assert report.failure is not None, report.pretty()
    assert "bit-identical" in report.failure.message


def test_the_range_of_a_container_is_that_of_its_leaves(tmp_path) -> None:
    path = tmp_path / "model.py"
    path.write_text(
        "# gradgen: range state=2:3 state.1=-1:0 x=5:6\n"
        "def step(state, x):\n    v, w = state\n    return v + x * w, v\n"
    )
    front = open_front(Settings(str(path)))
    ranges = input_ranges(front.trace, ranges_of(front))
    assert dict(zip([i.path for i in front.trace.inputs], ranges, strict=True)) == {
        "state.0": (2, 3),
        "state.1": (-1, 0),
        "x": (5, 6),
    }


def test_a_source_that_does_not_run_in_low_precision(tmp_path) -> None:
    path = tmp_path / "model.py"
    path.write_text(
        "import jax.numpy as jnp\nfrom jax import lax\n\n"
        "def step(v, tau=0.9):\n    return lax.max(jnp.tanh(tau * v), 0.01)\n"
    )
    front = open_front(Settings(str(path)))
    with pytest.raises(TypeError, match="same dtypes"):
        front.function(jnp.bfloat16(0.5))
    report = checked(str(path), subject(str(path)).text)
    assert report.exact, report.pretty()


@pytest.mark.parametrize(
    ("line", "mixes"),
    [
        ("s = A @ jnp.array([v, u]); return s[0], s[1]", True),
        ("s = jnp.sum(A[:, 0] * 2.0); return s * v, u", False),
        ("s = jax.vjp(lambda k: k * v, u)[1](v); return s", True),
        ("s = v * u; return s, v + u", False),
    ],
)
def test_populations_that_the_source_mixes(tmp_path, line, mixes) -> None:
    head = ["import jax", "import jax.numpy as jnp", "A = jnp.array([[0.9, 0.1], [0.2, 0.8]])"]
    found = generate_text(tmp_path, [*head, f"def step(v, u): {line}"])
    small = subject_of(found.front, found.module, found.text)
    random = np.random.default_rng(0)
    leaves = [random.uniform(0.5, 1.5, 30).astype(np.float32) for _ in range(2)]
    titles = populations.ALIKE, populations.SHARED, populations.MIXED
    every = populations.populations(small, leaves, titles, random)
    mixed = [p.title for p in every if couples_neurons(small, p)]
    assert bool(mixed) == mixes, mixed
