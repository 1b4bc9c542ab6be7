"""Prices of operations: files of them, what programs cost by them, and what is chosen by them."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from generating import cheapest
from projects import edit, gradgen, write_project

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_programs import array_module
from gradgen.compile.front import Front, open_front
from gradgen.config import Settings
from gradgen.errors import GradgenError
from gradgen.ir.array_counts import price_of_arrays
from gradgen.ir.code import Instruction
from gradgen.ir.prices import COUNTED, PRICED
from gradgen.prices.objectives import objective_of
from gradgen.prices.presets import PRESETS
from gradgen.prices.reading import read_prices
from gradgen.project.configuration import parse
from gradgen.verify.recount import recount

pytestmark = pytest.mark.usefixtures("trusted")

COSTS = r"[\d.]+ pJ \(forward mode [\d.]+, reverse mode [\d.]+\)"
MODELS = Path(__file__).parents[1] / "models"
UNIT = dict.fromkeys(PRICED, 0) | dict.fromkeys(("mul", "div", "add", "sub"), 1)


def table(prices: dict[str, Any]) -> str:
    return "\n".join(f"{kind} = {price}" for kind, price in prices.items())


def file_of(prices: dict[str, Any] = UNIT, head: str = 'unit = "pJ"\nprecision = "float32"') -> str:
    return f"{head}\n[float32]\n{table(prices)}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestFiles:
    @pytest.mark.parametrize(
        ("text", "line", "message", "mended"),
        [
            (file_of(head='precision = "float32"'), 1, "'unit' is no text", file_of()),
            (file_of(head='unit = "pJ"'), 1, "'precision' is no text", file_of()),
            (file_of(head='unit = 3\nprecision = "float32"'), 1, "'unit' is no text", file_of()),
            (file_of(UNIT | {"mult": 1}), 15, "no kind of operation 'mult'", file_of()),
            (file_of(UNIT | {"mul": -1}), 4, "'mul' is not a number from 0", file_of()),
            (file_of(UNIT | {"add": '"1"'}), 6, "'add' is not a number from 0", file_of()),
            (file_of(UNIT | {"add": "true"}), 6, "'add' is not a number from 0", file_of()),
            (file_of(UNIT | {"add": "nan"}), 6, "'add' is not a number from 0", file_of()),
            (file_of(UNIT | {"add": "1e-10"}), 6, "at most 9 decimals", file_of()),
            (file_of(UNIT | {"add": "1e999999999"}), 6, "from 0 to 1,000,000,000", file_of()),
            (file_of({"mul": 1}), 3, "has no price for div, add, sub", file_of()),
            (file_of() + "[floot16]\n", 15, "'floot16' is no table of prices", file_of()),
            (file_of() + "[float16\n", 15, "not valid TOML", file_of()),
            (file_of(head='unit = "pJ"\nprecision = "int8"'), 2, "no prices for int8", file_of()),
        ],
    )
    def test_errors_have_place_and_hint(
        self, folder: Path, text: str, line: int, message: str, mended: str
    ) -> None:
        (folder / "p.toml").write_text(text)
        with pytest.raises(GradgenError) as caught:
            read_prices("p.toml")
        error = caught.value
        assert message in error.message
        assert (error.path, error.line, error.exit_code) == ("p.toml", line, 2)
        assert error.hint or "TOML" in error.message
        (folder / "p.toml").write_text(mended)
        assert read_prices("p.toml").unit == "pJ"

    def test_hints_help(self, folder: Path) -> None:
        (folder / "p.toml").write_text(file_of({k: 1 for k in PRICED if k != "div"}))
        with pytest.raises(GradgenError) as caught:
            read_prices("p.toml")
        advice = re.match(r"add (div = 0) there", str(caught.value.hint))
        assert advice is not None
        (folder / "p.toml").write_text((folder / "p.toml").read_text() + advice[1] + "\n")
        assert read_prices("p.toml").amount("div") == 0
        with pytest.raises(GradgenError, match="no prices for int8") as caught:
            read_prices("p.toml:int8")
        assert caught.value.hint == "there are some for float32"
        with pytest.raises(GradgenError, match="cannot read the prices") as caught:
            read_prices("enrgy")
        assert "energy" in str(caught.value.hint)

    @pytest.mark.parametrize("preset", PRESETS)
    def test_presets_say_what_is_assumed(self, preset: str) -> None:
        said = tomllib.loads(PRESETS[preset].read_text())
        tables = [key for key in said if isinstance(said[key], dict)]
        for precision in tables:
            prices = read_prices(f"{preset}:{precision}")
            for kind, price in said[precision].items():
                assert prices.in_units(prices.amount(kind)) == float(price)
        assert re.search("assum|is free", PRESETS[preset].read_text())

    def test_the_energy_preset_is_that_of_the_figure(self) -> None:
        """Horowitz, ISSCC 2014, Figure 1.1.9: additions and multiplications, in picojoules."""
        figure = {
            "int8": (0.03, 0.2), "int32": (0.1, 3.1), "float16": (0.4, 1.1), "float32": (0.9, 3.7)
        }  # fmt: skip
        for precision, pair in figure.items():
            prices = read_prices(f"energy:{precision}")
            assert tuple(prices.in_units(prices.amount(k)) for k in ("add", "mul")) == pair

    def test_a_preset_has_a_precision_of_its_own(self) -> None:
        assert read_prices("energy") == read_prices("energy:float32")
        assert read_prices("energy:float16").recorded != read_prices("energy").recorded


class TestCosts:
    def test_operations_are_a_price_of_one(self) -> None:
        _, module = cheapest(front_of("lif_reset"))
        for found in (module.jacobian.forward, module.jacobian.chosen):
            assert COUNTED.of(found.program.instructions) == found.operations.total

    def test_precisions_have_their_own(self) -> None:
        prices = read_prices("energy:float16")
        code = [
            Instruction("a", "mul", ("x", "y")),
            Instruction("b", "mul", ("x", "y"), (), "float32"),
            Instruction("c", "add", ("n", "n"), (), "int"),
            Instruction("d", "mul", ("x", "y"), (), "float64"),
            Instruction("e", "integer_pow", ("x",), (("y", -3),)),
            Instruction("f", "convert", ("n",)),
            Instruction("g", "logistic", ("x",)),
        ]
        wanted = [1.1, 3.7, 0.1, 1.1, 2 * 1.1 + 3.7, 0, 7.5 + 0.4 + 3.7]
        assert [prices.in_units(prices.of([i])) for i in code] == pytest.approx(wanted, abs=1e-12)
        assert prices.in_units(prices.of(code)) == pytest.approx(sum(wanted))

    def test_traffic_is_what_is_read_and_written(self) -> None:
        prices = read_prices("traffic:float16")
        code = [
            Instruction("a", "mul", ("x", "x")),
            Instruction("b", "select", ("c", "x", "y")),
            Instruction("d", "convert", ("x",)),
        ]
        assert prices.of(code) == (2 + 1 + 3 + 1) * 2


def front_of(model: str, prices: str | None = None) -> Front:
    objective = objective_of("ops" if prices is None else "price", prices)
    front = open_front(Settings(str(MODELS / f"{model}.py"), objective=objective))
    assert isinstance(front, Front)
    return front


@pytest.mark.parametrize(
    ("model", "preset"), [("theta", "energy"), ("lif_reset", "no-divider"), ("lif", "energy:int8")]
)
def test_chosen_programs_cost_less(model: str, preset: str) -> None:
    prices = read_prices(preset)
    _, module = cheapest(front_of(model, preset))
    _, by_ops = cheapest(front_of(model))
    for name, derivative in module.derivatives.items():
        costs = [
            prices.of(found.program.instructions)
            for found in (derivative.chosen, derivative.forward, derivative.reverse)
        ]
        sweeps = costs[1:] if name == "value_and_jacobian" else [costs[2 if name == "vjp" else 1]]
        assert costs[0] <= min(sweeps)
    one, other = (prices.of(m.jacobian.chosen.program.instructions) for m in (module, by_ops))
    assert one <= other


@pytest.mark.parametrize("model", ["srm0", pytest.param("lif_traces", marks=pytest.mark.full)])
def test_no_program_is_dearer_than_what_is_written_without_prices(model: str) -> None:
    prices = read_prices("energy")
    _, module = cheapest(front_of(model, "energy"))
    front = open_front(Settings(str(MODELS / f"{model}.py")))
    assert isinstance(front, Front)
    _, plain = cheapest(front)
    one, other = (prices.of(m.jacobian.chosen.program.instructions) for m in (module, plain))
    assert one <= other


def assert_replayed_until_prices_change(built: Path, target: str) -> None:
    """The prices are those of chip.toml."""
    before = built.read_bytes()
    assert gradgen("--check", "--no-verify").exit_code == 0
    assert "unchanged" in gradgen().stderr
    assert built.read_bytes() == before
    chip = Path("chip.toml")
    chip.write_text("# a comment costs nothing\n" + chip.read_text())
    assert gradgen("--check", "--no-verify").exit_code == 0
    edit(chip, "mul = 2.5", "mul = 2.75")
    result = gradgen("--check", "--no-verify")
    assert result.exit_code == 1
    assert "chip.toml:1:1: stale: the prices of" in result.stderr
    assert gradgen(target).exit_code == 0  # what the hint says
    assert gradgen("--check", "--no-verify").exit_code == 0


class TestTargets:
    """A file that goes by prices, from the command line and from pyproject.toml."""

    @pytest.fixture
    def built(self, folder: Path) -> Path:
        write_project(folder)
        (folder / "chip.toml").write_text(file_of(UNIT | {"mul": 2.5, "div": 30}))
        edit(
            folder / "pyproject.toml",
            "max-muls = 10\n",
            'objective = "price"\nprices = "chip.toml"\n',
        )
        result = gradgen()
        assert result.exit_code == 0, result.stderr
        assert re.search(rf", price by chip.toml:float32 {COSTS}, acc", result.stderr)
        return folder / "generated" / "neuron_grad.py"

    def test_the_price_is_that_of_the_text(self, built: Path) -> None:
        text = built.read_text()
        found = stated(text)
        assert found["options"] == {"objective": "price", "prices": "chip.toml:float32"}
        prices = {k: Fraction(str(v)) for k, v in (UNIT | {"mul": 2.5, "div": 30}).items()}
        kinds = recount(text)["_value_and_entries"].counts
        cost = float(sum(n * prices[kind] for kind, n in kinds.items() if kind in prices))
        assert found["counts"]["value_and_jacobian"]["price"]["chosen"] == cost
        header = " ".join(line.strip("# ") for line in text.splitlines()[:12])
        assert f"Price by chip.toml:float32: {cost:g} pJ (forward mode" in header

    def test_it_is_replayed_until_prices_change(self, built: Path) -> None:
        assert_replayed_until_prices_change(built, "neuron")
        edit(Path("pyproject.toml"), 'prices = "chip.toml"', 'prices = "energy:float16"')
        result = gradgen("--check", "--no-verify")
        assert result.exit_code == 1
        assert "the configuration of" in result.stderr
        assert "prices" in result.stderr

    def test_reports_show_it(self, built: Path) -> None:
        found = stated(built.read_text())["counts"]["value_and_jacobian"]["price"]
        options = ("--objective", "price", "--prices", "chip.toml", "models/neuron.py")
        explained = " ".join(gradgen("explain", *options).output.split())
        assert f"Their price by chip.toml:float32 is {found['chosen']:g} pJ (forward" in explained
        report = json.loads(gradgen("report", *options, "--format", "json").output)
        (priced,) = [c for c in report["models"][0]["comparisons"] if c["count"] == "price"]
        assert (priced["best"], priced["unit"]) == (found["chosen"], "pJ")
        assert (priced["forward"], priced["reverse"]) == (
            found["forward"], found["reverse"]
        )  # fmt: skip
        page = gradgen("report", *options, "--format", "md").output
        assert re.search(rf"price of value and Jacobian, in pJ \|.* {found['chosen']:g} \|", page)

    def test_targets_may_share_prices(self, folder: Path) -> None:
        text = (
            "[tool.gradgen]\nobjective = 'price'\nprices = 'energy'\n"
            "[tool.gradgen.targets.a]\nsource = 'a.py'\noutput = 'b.py'\n"
            "[tool.gradgen.targets.b]\nsource = 'a.py'\noutput = 'c.py'\nobjective = 'ops'\n"
        )
        one, other = (t.settings.objective for t in parse(folder / "p.toml", text).targets)
        assert one == objective_of("price", "energy")
        assert other == objective_of("ops")

    @pytest.mark.parametrize(
        ("lines", "line", "message"),
        [
            (["objective = 'price'"], 1, "goes by prices, and none are given"),
            (["objective = 'price'", "prices = 'none.toml'"], None, "cannot read the prices"),
            (["prices = 'energy'"], 4, "prices are given, and the objective is 'muls'"),
            (["objective = 'price'", "prices = 'energy:int4'"], None, "no prices for int4"),
        ],
    )
    def test_errors(self, folder: Path, lines: list[str], line: int | None, message: str) -> None:
        head = ["[tool.gradgen.targets.a]", "source = 'a.py'", "output = 'b.py'"]
        with pytest.raises(GradgenError) as caught:
            parse(folder / "pyproject.toml", "\n".join([*head, *lines]) + "\n")
        assert message in caught.value.message
        assert caught.value.exit_code == 2
        if line is not None:
            assert (caught.value.path, caught.value.line) == ("pyproject.toml", line)

    def test_hints_on_the_command_line(self, folder: Path) -> None:
        write_project(folder)
        source = ("models/neuron.py", "-o", "n.py")
        result = gradgen(*source, "--objective", "price")
        assert result.exit_code == 2
        assert "hint: add --prices energy:float32" in result.stderr
        result = gradgen(*source, "--prices", "energy:float32")
        assert result.exit_code == 2
        assert "hint: add --objective price" in result.stderr
        result = gradgen(*source, "--objective", "price", "--prices", "energy:float32")
        assert result.exit_code == 0, result.stderr
        result = gradgen("search", "models/neuron.py", "--objective", "price", "--prices", "energy")
        assert result.exit_code == 2
        assert "operations are counted on a program" in result.stderr

    def test_init_writes_them(self, folder: Path) -> None:
        write_project(folder)
        (folder / "chip.toml").write_text(file_of())
        options = ("--objective", "price", "--prices", "chip.toml")
        result = gradgen("init", "models/neuron.py", "--name", "n", "-o", "n.py", *options)
        assert result.exit_code == 0, result.stderr
        assert 'prices = "chip.toml:float32"' in (folder / "pyproject.toml").read_text()
        assert gradgen("n").exit_code == 0

    @pytest.mark.parametrize(
        "options",
        [
            ("--objective", "error:float16"),
            ("--objective", "edges"),
            ("--elimination", "edge"),
        ],
        ids=lambda options: options[1],
    )
    def test_what_functions_on_arrays_do_not_go_by(
        self, folder: Path, options: tuple[str, ...]
    ) -> None:
        (folder / "f.py").write_text(
            "# gradgen: shape x=(n,)\ndef f(x):\n    return (x * x).sum()\n"
        )
        result = gradgen("f.py", *options)
        assert result.exit_code == 2
        assert "f.py:2:1: error: 'f' is on arrays, where orders are of vertices" in result.stderr
        assert f"hint: leave {options[0]} out here" in result.stderr
        assert gradgen("show", "--stage", "program", "f.py").exit_code == 0


LAYER = """import jax.numpy as jnp

# gradgen: shape x=(batch, n_in) v=(batch, n) w=(n_in, n)
# gradgen: size batch=3 n_in=5 n=7
def layer(x, v, w, tau=0.9):
    v = tau * v + x @ w
    return v, jnp.tanh(v) / (1.0 + v * v)
"""


class TestArrays:
    """Functions on arrays by prices, at the recorded sizes."""

    @pytest.fixture
    def built(self, folder: Path) -> Path:
        (folder / "layer.py").write_text(LAYER)
        (folder / "chip.toml").write_text(
            file_of(UNIT | {"mul": 2.5, "div": 30, "transcendental": 7, "read": 0.5, "write": 4})
        )
        (folder / "pyproject.toml").write_text(
            "[tool.gradgen.targets.layer]\nsource = 'layer.py'\noutput = 'layer_grad.py'\n"
            "objective = 'price'\nprices = 'chip.toml'\n"
        )
        result = gradgen()
        assert result.exit_code == 0, result.stderr
        assert re.search(
            r", price by chip.toml:float32 [\d.,]+ pJ \(reverse [\d.,]+\); exact", result.stderr
        )
        return folder / "layer_grad.py"

    def test_each_element_is_priced(self, folder: Path) -> None:
        """Counted by hand: ct times w for each row, and a contraction of ct and x."""
        source = (
            "# gradgen: shape x=(batch, n) w=(n,)\n# gradgen: size batch=3 n=5\n"
            "def f(x, w):\n    return x @ w\n"
        )
        (folder / "f.py").write_text(source)
        wanted = {"mul": 15 + 15, "add": 10, "read": 3 + 5 + 3 + 15, "write": 15 + 5, "div": 0}
        for kind, number in wanted.items():
            (folder / "one.toml").write_text(file_of(dict.fromkeys(PRICED, 0) | {kind: 1}))
            options = ("--objective", "price", "--prices", "one.toml")
            result = gradgen("f.py", "-o", "f_grad.py", *options)
            assert result.exit_code == 0, result.stderr
            text = (folder / "f_grad.py").read_text()
            assert stated(text)["counts"]["vjp"]["price"]["chosen"] == number, (kind, text)

    def test_operations_alone_cost_what_is_counted(self, folder: Path) -> None:
        (folder / "layer.py").write_text(LAYER)
        priced = {k: 3 + n for n, k in enumerate(PRICED) if k not in ("read", "write")}
        (folder / "own.toml").write_text(file_of(dict.fromkeys(PRICED, 0) | priced))
        options = ("--objective", "price", "--prices", "own.toml")
        assert gradgen("layer.py", "-o", "g.py", *options).exit_code == 0
        counts = stated((folder / "g.py").read_text())["counts"]["vjp"]
        assert counts["price"]["chosen"] == sum(priced[k] * counts.get(k, 0) for k in priced)

    def test_it_is_replayed_until_prices_change(self, built: Path) -> None:
        assert_replayed_until_prices_change(built, "layer")

    def test_reports_show_it(self, built: Path) -> None:
        text = built.read_text()
        found = stated(text)["counts"]["vjp"]["price"]
        header = " ".join(line.strip("# ") for line in text.splitlines()[:14])
        assert f"Price by chip.toml:float32: {found['chosen']:,.10g} pJ (reverse" in header
        options = ("--objective", "price", "--prices", "chip.toml", "layer.py")
        explained = " ".join(gradgen("explain", *options).output.split())
        assert f"Their price by chip.toml:float32 is {found['chosen']:,.10g} pJ" in explained
        report = json.loads(gradgen("report", *options, "--format", "json").output)
        (priced,) = [c for c in report["models"][0]["comparisons"] if c["count"] == "price"]
        assert (priced["best"], priced["unit"]) == (found["chosen"], "pJ")
        assert priced["reverse"] == found["reverse"]
        page = gradgen("report", *options, "--format", "md").output
        assert "price of value and vector-Jacobian product, in pJ" in page

    @pytest.mark.parametrize("preset", ["energy", "no-divider"])
    def test_no_program_is_dearer_than_what_is_written_without_prices(
        self, folder: Path, preset: str
    ) -> None:
        (folder / "layer.py").write_text(LAYER)
        costs = []
        for objective in (objective_of("price", preset), objective_of("muls")):
            front = open_front(Settings("layer.py", objective=objective))
            assert isinstance(front, ArrayFront)
            module = array_module(front)
            sizes, prices = dict(module.trace.sizes), read_prices(preset)
            costs.append(price_of_arrays(module.vjp, module.shapes, sizes, prices))
            if module.price is not None:
                assert module.price.chosen == costs[0] <= module.price.reverse
        assert costs[0] <= costs[1]


def stated(text: str) -> dict[str, Any]:
    found = re.search(r"^GRADGEN = (\{\n.*?^\})$", text, re.M | re.S)
    assert found is not None
    content: dict[str, Any] = ast.literal_eval(found[1])
    return content
