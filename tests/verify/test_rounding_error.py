"""Rounding errors of Jacobians in short precisions, and what is chosen by them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from projects import gradgen

from gradgen.compile.front import Front, open_front, ranges_of
from gradgen.compile.graphs import graph_of
from gradgen.compile.ordering import orders_for
from gradgen.compile.programs import candidates
from gradgen.config import Settings
from gradgen.ir.code import Const, Instruction
from gradgen.prices.objectives import objective_of
from gradgen.project.record import read_record
from gradgen.verify.points import draw, input_ranges
from gradgen.verify.rounding import RoundedEvaluator
from gradgen.verify.rounding_error import POINTS

pytestmark = pytest.mark.usefixtures("trusted")

MODELS = Path(__file__).parents[2] / "models"
SHORT = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
STEP = """\
# gradgen: range x=1:300 y=1:3
def f(x, y):
    return x * y * y + 0.1 * x
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "f.py").write_text(STEP)
    return tmp_path


def front_of(path: Path | str, objective: str) -> Front:
    front = open_front(Settings(str(path), objective=objective_of(objective)))
    assert isinstance(front, Front)
    return front


@pytest.mark.parametrize("short", SHORT)
@pytest.mark.parametrize("op", ["add", "sub", "mul", "div", "exp", "tanh", "sqrt"])
def test_operations_round_as_in_jax(short: str, op: str) -> None:
    """JAX rounds between operations where each is called by itself."""
    chance = np.random.default_rng(0)
    arity = 2 if op in ("add", "sub", "mul", "div") else 1
    drawn = [chance.uniform(0.1, 9.0, 400).astype(SHORT[short]) for _ in range(arity)]
    evaluator = RoundedEvaluator(short)
    values = {f"x{k}": np.asarray(x, np.float64) for k, x in enumerate(drawn)}
    (found,) = [evaluator.run([Instruction("r", op, tuple(values))], values)["r"]]
    wanted = getattr(jax.lax, op)(*map(jnp.asarray, drawn))
    assert wanted.dtype == SHORT[short]
    wanted = np.asarray(wanted, np.float64)
    if arity == 2:
        np.testing.assert_array_equal(found, wanted)
    else:  # XLA's own functions are off by an ulp here and there
        assert np.mean(found == wanted) > 0.95


def test_constants_and_powers_are_rounded() -> None:
    evaluator = RoundedEvaluator("float16")
    x = np.float16(1.1)
    code = [
        Instruction("a", "mul", (Const(0.1), "x")),
        Instruction("b", "integer_pow", ("x",), (("y", 5),)),
        Instruction("c", "integer_pow", ("x",), (("y", -2),)),
    ]
    values = evaluator.run(code, {"x": np.float64(x)})
    square = x * x
    assert values["a"] == np.float16(0.1) * x
    assert values["b"] == square * square * x
    assert values["c"] == np.float16(1) / square


def test_the_error_is_that_of_the_definition(folder: Path) -> None:
    """Point by point, with numpy's own scalars."""
    front = front_of("f.py", "error:float16")
    graph = graph_of(front)
    first = candidates(front, graph, orders_for(front.settings, graph))[0]
    ranges = input_ranges(front.trace, ranges_of(front))
    points = np.array(draw(front.trace, ranges, POINTS, 0)).astype(np.float16).T
    exact: dict[str, list[float]] = {"x": [], "y": []}
    found: dict[str, list[float]] = {"x": [], "y": []}
    with np.errstate(all="ignore"):
        for x, y in points:
            xy = x * y
            exact["x"].append(float(y) * float(y) + 0.1)
            # the step has x * y already, as it is rounded: twice that is exact
            exact["y"].append(2 * float(xy))
            found["x"].append(float(y * y + np.float16(0.1)))
            found["y"].append(float(np.float16(2) * xy))
    squares = []
    for entry, values in exact.items():
        mean = math.sqrt(sum(v * v for v in values) / POINTS)
        errors = [abs(a - b) / mean for a, b in zip(found[entry], values, strict=True)]
        squares.append(sum(min(e, 1.0) ** 2 for e in errors) / POINTS)
    wanted = math.sqrt(sum(squares) / 2)
    assert first.measured is not None
    assert first.measured.reverse == pytest.approx(wanted, rel=0.005)  # of three digits


@pytest.mark.parametrize("precision", SHORT)
@pytest.mark.parametrize("model", ["qif"])
def test_the_least_error_of_what_takes_about_the_fewest_operations(
    model: str, precision: str
) -> None:
    front = front_of(MODELS / f"{model}.py", f"error:{precision}")
    graph = graph_of(front)
    modules = candidates(front, graph, orders_for(front.settings, graph))
    operations = [m.jacobian.chosen.operations.total for m in modules]
    errors = [m.measured.chosen for m in modules if m.measured is not None]
    near = [e for e, n in zip(errors, operations, strict=True) if n <= 1.05 * min(operations)]
    assert len(near) > 1
    assert errors[0] == min(near)
    assert operations[0] <= 1.05 * min(operations)


def test_what_overflows_counts_as_an_error_of_all(folder: Path) -> None:
    (folder / "g.py").write_text(
        "import jax.numpy as jnp\n"
        "# gradgen: range x=1:20 y=1:2\n"
        "def g(x, y):\n    return jnp.exp(x) * y * y, jnp.log(x - 5.0)\n"
    )
    front = front_of("g.py", "error:float16")
    graph = graph_of(front)
    measured = candidates(front, graph, orders_for(front.settings, graph))[0].measured
    assert measured is not None
    for error in (measured.forward, measured.reverse, measured.chosen):
        assert 0 < error <= 1


class TestCommand:
    def test_it_is_recorded_shown_and_replayed(self, folder: Path) -> None:
        options = ("f.py", "--objective", "error:bfloat16")
        built = gradgen(*options, "-o", "f_grad.py")
        assert built.exit_code == 0, built.stderr
        text = (folder / "f_grad.py").read_text()
        record = read_record(text)
        assert record is not None
        assert record.options == {"objective": "error:bfloat16"}
        error = record.stated["value_and_jacobian"]["error"]
        assert set(error) == {"chosen", "forward", "reverse"}
        told = (
            f"{error['chosen']:g} (forward mode {error['forward']:g}, "
            f"reverse mode {error['reverse']:g})"
        )
        assert f"error by bfloat16 {told}" in built.stderr
        header = " ".join(line.strip("# ") for line in text.splitlines()[:12])
        assert f"Error by bfloat16: {told}." in header
        assert f"Their error by bfloat16 is {told}." in joined(gradgen("explain", *options).output)
        report = json.loads(gradgen("report", *options, "--format", "json").output)
        (compared,) = [c for c in report["models"][0]["comparisons"] if c["count"] == "error"]
        assert [compared[k] for k in ("forward", "reverse", "markowitz", "best")] == [
            error["forward"], error["reverse"], None, error["chosen"]
        ]  # fmt: skip
        page = gradgen("report", *options, "--format", "md").output
        assert "rounding error of the Jacobian, in bfloat16, relative |" in page
        assert gradgen("--check", "--no-verify", *options, "-o", "f_grad.py").exit_code == 0
        assert "unchanged" in gradgen(*options, "-o", "f_grad.py", "--search-again").stderr
        (folder / "f_grad.py").unlink()
        assert gradgen(*options, "-o", "f_grad.py").exit_code == 0
        assert (folder / "f_grad.py").read_text() == text

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (("f.py", "--objective", "error:float8"), "'error:float8' is not one of"),
            (("f.py", "--objective", "error:float16", "--prices", "energy"), "has none"),
            (("search", "f.py", "--objective", "error:float16"), "--objective error:float16"),
            (("a.py", "--objective", "error:float16"), "'a' is on arrays, where orders"),
        ],
    )
    def test_what_it_is_not_for(
        self, folder: Path, arguments: tuple[Any, ...], message: str
    ) -> None:
        (folder / "a.py").write_text("# gradgen: shape x=(n,)\ndef a(x):\n    return x * x\n")
        result = gradgen(*arguments)
        assert result.exit_code == 2
        assert message in joined(result.stderr)


def joined(text: str) -> str:
    return " ".join(text.split())
