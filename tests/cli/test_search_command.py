"""`gradgen search`: graphs as files, orders found offline, what a generated file tells of them."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gradgen.cli.main import main
from gradgen.elimination.accumulate import accumulate
from gradgen.ir.graph import Order
from gradgen.ir.graph_file import read_graph

ROOT = Path(__file__).parents[2]
LIF = ROOT / "tests" / "data" / "graphs" / "lif_2023.json"
IZHIKEVICH = ROOT / "models" / "izhikevich.py"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(a) for a in arguments])


@pytest.mark.parametrize(("elimination", "edges"), [("vertex", 22), ("edge", 22)])
def test_the_lif_neuron_of_alphagrad(elimination, edges, tmp_path):
    stored = tmp_path / "order.json"
    options = ("--objective", "edges", "--elimination", elimination, "--json", "-o", stored)
    options += ("--budget", "0.3")
    result = run("search", LIF, *options)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["forward"], found["reverse"], found["best"]) == (27, 25, edges)
    order = Order.from_json(stored.read_text())
    assert order == Order.from_json(json.dumps(found["order"]))
    assert accumulate(read_graph(LIF.read_text()), order).edges == edges
    if elimination == "vertex":
        assert found["proved_optimal"]
        assert found["lower_bound"] == edges


def test_the_table():
    result = run("search", LIF, "--objective", "edges")
    for shown in ("forward", "27", "reverse", "25", "markowitz", "22", "optimal (proved)"):
        assert shown in result.stdout


def test_a_path_is_no_markup(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "[").mkdir()
    for name in ("[/a].json", "[red]b.json"):
        (tmp_path / name).write_text(LIF.read_text())
        assert run("search", name).stdout.startswith(f"{name}: vertex elimination")


@pytest.mark.usefixtures("trusted")
def test_an_order_found_for_a_models_graph_file_is_used(tmp_path):
    graph, order, output = (tmp_path / name for name in ("graph.json", "order.json", "grad.py"))
    graph.write_text(run("show", "--stage", "graph", "--json", IZHIKEVICH).stdout)
    found = json.loads(run("search", graph, "-o", order, "--json").stdout)
    result = run(IZHIKEVICH, "--order", order, "-o", output)
    assert result.exit_code == 0, result.output
    record = runpy.run_path(str(output))["GRADGEN"]
    assert record["order"] == tuple(Order.from_json(order.read_text()).steps)
    assert record["found_by"] == found["found_by"]
    assert record["proved_optimal"] == found["proved_optimal"]
    assert record["counts"]["value_and_jacobian"]["accumulation"]["muls"] == found["best"]


@pytest.mark.usefixtures("trusted")
def test_an_edge_order_makes_a_file(tmp_path):
    output = tmp_path / "grad.py"
    result = run(IZHIKEVICH, "--elimination", "edge", "-o", output)
    assert result.exit_code == 0, result.output
    record = runpy.run_path(str(output))["GRADGEN"]
    assert record["elimination"] in ("vertex", "edge")
    muls = record["counts"]["value_and_jacobian"]
    assert muls["accumulation"]["muls"] <= min(muls["forward"]["muls"], muls["reverse"]["muls"])


@pytest.mark.usefixtures("trusted")
def test_heuristics_alone(tmp_path):
    output = tmp_path / "grad.py"
    assert run(IZHIKEVICH, "--search", "heuristics", "-o", output).exit_code == 0
    found_by = runpy.run_path(str(output))["GRADGEN"]["found_by"]
    assert found_by.split(",")[0] in ("forward", "reverse", "markowitz")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot read the graph"),
        ("{", "this is no graph: not JSON"),
        ("{}", "an object with"),
    ],
)
def test_a_bad_graph(text, message, tmp_path):
    path = tmp_path / "graph.json"
    if text is not None:
        path.write_text(text)
    result = run("search", path)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"{path}:")
    assert message in result.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--objective", "ops"), "operations are counted on a program"),
        (("--objective", "peak", "--elimination", "edge"), "searched under edges and muls alone"),
        (("--elimination", "face"), "taken out, since it saved nothing on any of 25 graphs"),
    ],
)
def test_what_cannot_be_searched(options, message):
    result = run("search", LIF, *options)
    assert result.exit_code == 2
    assert message in result.stderr


def test_only_graphs_and_orders_are_json():
    assert run("show", "--stage", "plan", "--json", IZHIKEVICH).exit_code == 2


@pytest.mark.usefixtures("trusted")
def test_the_network_plays_on_arrays_and_its_order_is_used(tmp_path):
    source, order, output = (tmp_path / name for name in ("layer.py", "order.json", "grad.py"))
    source.write_text(
        "import jax.numpy as jnp\n\n# gradgen: shape x=(b, n) w=(n, m)\n\n\n"
        "def layer(x, w):\n    return jnp.tanh(x @ w)\n"
    )
    refused = run(source, "-o", output, "--search", "alphazero")
    assert (refused.exit_code, output.exists()) == (2, False)
    assert "layer.py:6:1: error: 'layer' is on arrays" in refused.output
    assert "gradgen search --search alphazero -o" in refused.output
    found = run("search", source, "--search", "alphazero", "--budget", 1, "-o", order)
    assert found.exit_code == 0, found.output
    made = run(source, "-o", output, "--order", order)
    assert made.exit_code == 0, made.output
    assert "order: given order" in made.output
