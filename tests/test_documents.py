"""What the documentation works out by hand or draws, held against gradgen."""

from __future__ import annotations

import re
from functools import cache

import pytest
from click.testing import CliRunner
from generating import ROOT, generate

import gradgen
from gradgen.cli.main import main
from gradgen.ir.graph import LinearGraph

PAGE = ROOT / "docs" / "elimination.md"
WORKED = {"a U": 6, "1 − a": 7, "(1 − a) I": 8, "v": 9, "b I": 10, "1 − b": 11,
          "(1 − b) S": 12, "i": 13, "h": 14, "z": 15, "U′": 16, "I′": 17,
          "U": 0, "I": 1, "S": 2, "a": 3, "b": 4, "ϑ": 5}  # fmt: skip
"""The vertices as the page calls them."""


@cache
def lif() -> LinearGraph:
    return generate(ROOT / "models" / "lif_2023.py").graph


def tables() -> list[tuple[list[list[str]], int]]:
    """The tables with an elimination: lines of cells, and the sum in bold."""
    text = PAGE.read_text(encoding="utf-8")
    found = re.findall(
        r"^\| vertex .*\n\| ---.*\n((?:\| \*.*\n)+)\| \| \| \| \*\*(\d+)\*\* \|", text, re.M
    )
    return [
        (
            [[c.strip(" *") for c in line.split("|")[1:-1]] for line in lines.splitlines()],
            int(total),
        )
        for lines, total in found
    ]


@pytest.mark.parametrize("number", range(3))
def test_eliminations_worked_by_hand(number):
    lines, total = tables()[number]
    edges = {(edge.source, edge.target) for edge in lif().edges}
    for name, before, after, products in lines:
        vertex = WORKED[name]
        predecessors = {source for source, target in edges if target == vertex}
        successors = {target for source, target in edges if source == vertex}
        assert predecessors == {WORKED[p] for p in before.split(", ")}, name
        assert successors == {WORKED[s] for s in after.split(", ")}, name
        assert int(products) == len(predecessors) * len(successors), name
        edges = {edge for edge in edges if vertex not in edge}
        edges |= {(p, s) for p in predecessors for s in successors}
    assert sum(int(line[3]) for line in lines) == total
    assert {WORKED[line[0]] for line in lines} == set(lif().intermediates)


def test_counts_of_the_worked_example():
    totals = [total for _, total in tables()]
    found = gradgen.search(lif(), objective="edges")
    baselines = dict(found.baselines)
    assert totals == [baselines["forward"], baselines["reverse"], found.cost]
    assert found.proved
    text = PAGE.read_text(encoding="utf-8")
    shown = re.findall(r"^(forward|reverse|markowitz|best|lower bound) +(\d+)", text, re.M)
    assert dict(shown) == {name: str(n) for name, n in baselines.items()} | {
        "best": str(found.cost), "lower bound": str(found.lower_bound)
    }  # fmt: skip
    muls = gradgen.search(lif())
    costs = [*(n for name, n in muls.baselines if name != "markowitz"), muls.cost]
    assert "takes {}, reverse mode {}, and the best order {}.".format(*costs) in " ".join(
        text.split()
    )


def test_the_picture_of_the_worked_example():
    done = CliRunner().invoke(
        main, ["show", "--stage", "graph", "--format", "svg", str(ROOT / "models" / "lif_2023.py")]
    )
    committed = (ROOT / "docs" / "_static" / "lif_2023_graph.svg").read_text(encoding="utf-8")
    # where vertices are drawn is up to the release of Graphviz
    titles = [sorted(re.findall(r"<title>(.*?)</title>", t)) for t in (committed, done.stdout)]
    assert titles[0] == titles[1]


def test_how_many_orders_are_proved():
    texts = [p.read_text(encoding="utf-8") for p in (ROOT / "generated").glob("*_grad.py")]
    proved = [told == "True" for t in texts for told in re.findall(r'"proved_optimal": (\w+)', t)]
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    told = f"of the {len(proved)} models in `generated/` {sum(proved)} have an order that is."
    assert told in " ".join(text.split())


def test_every_command_is_in_the_reference():
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    named = re.findall(r"^\.\. click:: gradgen\.cli\.\w+:(\w+)$", text, re.M)
    assert sorted(named) == sorted(main.commands)


def test_everything_public_is_in_the_reference():
    text = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    for name in gradgen.__all__:
        assert name.startswith("__") or re.search(rf"^\.\. auto\w+:: \S*\b{name}\b", text, re.M), (
            name
        )
