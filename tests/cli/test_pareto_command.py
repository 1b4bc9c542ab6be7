"""`gradgen search --pareto` on the command line, and orders by its counts in files."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import pytest
from projects import edit, gradgen

from gradgen.elimination.accumulate import accumulate
from gradgen.ir.graph import Order
from gradgen.ir.graph_file import read_graph
from gradgen.search.arrays import portfolio
from gradgen.search.pareto import explore

ROOT = Path(__file__).parents[2]
LIF = ROOT / "tests" / "data" / "graphs" / "lif_2023.json"
EIF = ROOT / "models" / "eif.py"
LAYER = """
# gradgen: shape v=(batch, n) x=(batch, m) w=(m, n) r=(n, n)
# gradgen: size batch=4 n=6 m=5
# gradgen: wrt v, w, r
import jax.numpy as jnp


def layer(v, x, w, r):
    i = x @ w + jnp.tanh(v) @ r
    a = jnp.exp(-v) * i
    return a * v + i, jnp.sin(a) - v
"""
TARGET = """
[tool.gradgen.targets.layer]
source = "layer.py"
output = "layer_grad.py"
objective = "peak"
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for module in (portfolio, explore):
        monkeypatch.setattr(module, "MOST", 500)
        monkeypatch.setattr(module, "EXACT", 20_000)
    (tmp_path / "layer.py").write_text(LAYER)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_graph_file(folder):
    result = gradgen("search", LIF, "--pareto", "edges,peak", "-o", "o.json", "--figure", "f.svg")
    assert result.exit_code == 0, result.output
    for shown in ("forward", "27", "22", "12", "(proved)"):
        assert shown in result.stdout
    plan = accumulate(read_graph(LIF.read_text()), Order.from_json(Path("o_1.json").read_text()))
    assert (plan.edges, plan.peak) == (22, 12)
    assert Path("f.svg").read_text().startswith("<svg")
    assert sorted(p.name for p in folder.glob("*.json")) == ["o_1.json"]


@pytest.mark.usefixtures("trusted")
def test_each_order_of_a_model_makes_a_file_with_its_counts(folder):
    result = gradgen("search", EIF, "--pareto", "muls,peak", "-o", "o.json", "--json")
    assert result.exit_code == 0, result.output
    points = json.loads(result.stdout)["points"]
    assert [(p["muls"], p["peak"]) for p in points] == [(7, 6), (8, 5)]
    for number, point in enumerate(points, start=1):
        assert json.loads(Path(f"o_{number}.json").read_text()) == point["order"]
        made = gradgen(EIF, "--order", f"o_{number}.json", "-o", f"{number}.py")
        assert made.exit_code == 0, made.stderr
        record = runpy.run_path(f"{number}.py")["GRADGEN"]
        accumulation = record["counts"]["value_and_jacobian"]["accumulation"]
        assert accumulation["muls"] == point["muls"]


@pytest.mark.usefixtures("trusted")
def test_the_orders_of_a_layer(folder):
    result = gradgen("search", "layer.py", "--pareto", "muls,locality", "-o", "o.json")
    assert result.exit_code == 0, result.output
    # each error goes to the recurrent weights and through them, and to the other weights
    values = 3 * 4 * 6
    assert re.search(rf"1 +│ +[\d,]+ │ +{values} \({4 * values} bytes\)", result.stdout)
    made = gradgen("layer.py", "--order", "o_1.json", "-o", "made.py")
    assert made.exit_code == 0, made.stderr
    assert "order: given order" in made.stderr


@pytest.mark.parametrize(
    ("arguments", "message", "mended"),
    [
        (
            ("layer.py", "--pareto", "edges,peak"),
            "layer.py:8:1: error: 'layer' is on arrays",
            ("layer.py", "--pareto", "muls,peak"),
        ),
        (
            (EIF, "--pareto", "locality,muls"),
            "'eif_step' is the step of one neuron, in which no value crosses to others",
            (EIF, "--pareto", "muls,peak"),
        ),
        (
            (LIF, "--pareto", "locality,muls"),
            "a graph file is of one neuron, in which no value crosses to others",
            (LIF, "--pareto", "muls,peak"),
        ),
        (
            (LIF, "--pareto", "edges,peak", "--objective", "muls", "--elimination", "edge"),
            "a front is of vertex orders",
            (LIF, "--pareto", "edges,peak"),
        ),
        (
            (LIF, "--pareto", "edges,peak", "--objective", "peak"),
            "--pareto says what is to be small, and so does --objective",
            (LIF, "--pareto", "edges,peak"),
        ),
        (
            (LIF, "--figure", "f.svg"),
            "--figure is of a front: add --pareto",
            (LIF, "--figure", "f.svg", "--pareto", "muls,peak"),
        ),
    ],
)
def test_errors_and_what_their_hints_say(arguments, message, mended, folder):
    before = sorted(folder.iterdir())
    result = gradgen("search", *arguments, "-o", "o.json")
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert sorted(folder.iterdir()) == before
    assert gradgen("search", *mended).exit_code == 0


@pytest.mark.parametrize("asked", ["muls", "muls,muls", "muls,ops", "muls,peak,edges"])
def test_what_is_no_pair_of_counts(asked, folder):
    result = gradgen("search", LIF, "--pareto", asked)
    assert result.exit_code == 2
    assert "is not two of edges, muls, peak, locality" in " ".join(result.stderr.split())


def test_what_others_wrote_is_kept(folder):
    for name, option in (("f.svg", "--figure"), ("o_1.json", "-o")):
        (folder / name).write_text("mine")
        given = "o.json" if option == "-o" else name
        result = gradgen("search", LIF, "--pareto", "edges,peak", option, given)
        assert result.exit_code == 2
        assert (folder / name).read_text() == "mine"
        forced = gradgen("search", LIF, "--pareto", "edges,peak", option, given, "--force")
        assert forced.exit_code == 0, forced.stderr


@pytest.mark.usefixtures("trusted")
def test_a_target_on_arrays_by_what_it_holds(folder, monkeypatch):
    (folder / "pyproject.toml").write_text(TARGET)
    built = gradgen()
    assert built.exit_code == 0, built.stderr
    told = re.search(r"peak ([\d,]+) bytes \(reverse ([\d,]+)\)", built.stderr)
    text = Path("layer_grad.py").read_text()
    record = runpy.run_path("layer_grad.py")["GRADGEN"]
    chosen = record["counts"]["vjp"]["peak"]
    assert [int(n.replace(",", "")) for n in told.groups()] == [chosen["chosen"], chosen["reverse"]]
    assert chosen["chosen"] <= chosen["reverse"]
    assert record["options"] == {"objective": "peak"}
    assert f"# Its accumulation: {told[0]}." in text
    with monkeypatch.context() as patch:
        patch.setattr(portfolio, "find_order", None)  # nothing may be searched for
        assert gradgen("--check", "--no-verify").exit_code == 0
        assert "unchanged" in gradgen().stderr
    edit(folder / "pyproject.toml", '"peak"', '"ops"')
    stale = gradgen("--check", "--no-verify")
    assert stale.exit_code == 1
    assert "pyproject.toml:5:1: stale: the configuration of layer_grad.py" in stale.stderr
    assert gradgen("layer").exit_code == 0
    assert runpy.run_path("layer_grad.py")["GRADGEN"]["options"] == {"objective": "ops"}
    assert gradgen("--check", "--no-verify").exit_code == 0
    assert Path("layer_grad.py").read_text() != text


@pytest.mark.usefixtures("trusted")
def test_of_all_files_that_by_operations_has_the_fewest(folder):
    totals = {}
    for objective in ("muls", "peak", "ops"):
        options = ("--objective", objective, "--emit", "vjp", "-o", f"{objective}.py")
        made = gradgen("layer.py", *options)
        assert made.exit_code == 0, made.stderr
        totals[objective] = runpy.run_path(f"{objective}.py")["GRADGEN"]["counts"]["vjp"]["total"]
    assert totals["ops"] == min(totals.values())


@pytest.mark.usefixtures("trusted")
def test_a_report_shows_the_count(folder):
    page = gradgen("report", "layer.py", "--objective", "locality", "--format", "json")
    (found,) = json.loads(page.stdout)["models"]
    (count,) = [c for c in found["comparisons"] if c["count"] == "locality"]
    assert count["best"] == count["reverse"] == 72
