"""The cheapest orders known, with what is proved of them: `python -m benchmarks.orders`.

Prints a table for reference graphs from the literature, whose published counts take every edge for
a variable, and one for the models in `models/`, under `edges` and under `muls`. `--budget SECONDS`
changes how long is searched for each; the first search after an installation compiles the kernels
beforehand. The tables of operations beside other generators, of growth, of run time and of edge
elimination are printed by `benchmarks.rivals`, `scaling`, `speed` and `edges`.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from gradgen.compile.front import open_front
from gradgen.compile.graphs import graph_of
from gradgen.config import Settings
from gradgen.ir.graph import LinearGraph
from gradgen.ir.graph_file import read_graph
from gradgen.ir.plan import PlanObjective
from gradgen.search.portfolio import search

ROOT = Path(__file__).resolve().parent.parent
PUBLISHED = {
    "lif_2023": 22,
    "human_heart_dipole": 148,
    "propane_combustion": 88,
    "roe_flux_1d": 320,
    "robot_arm_6dof": 231,
}
"""The best counts that AlphaGrad's repository gives."""
COLUMNS = ("forward", "reverse", "markowitz")


def reference_graphs() -> list[tuple[str, LinearGraph]]:
    """The graphs from the literature, by name."""
    folder = ROOT / "tests" / "data" / "graphs"
    return [(name, read_graph((folder / f"{name}.json").read_text())) for name in PUBLISHED]


def model_graphs() -> list[tuple[str, LinearGraph]]:
    """The graphs of the models, by name."""
    paths = sorted((ROOT / "models").glob("*.py"))
    return [(path.stem, graph_of(open_front(Settings(str(path))))) for path in paths]


def orders_table(
    title: str,
    graphs: Iterable[tuple[str, LinearGraph]],
    objective: PlanObjective,
    budget: float,
) -> Table:
    """Search each graph; costs, the bound and the time in a row."""
    table = Table(title=f"{title}, {objective}")
    table.add_column("graph")
    shown = ("vertices", *COLUMNS, "published", "best", "bound", "gap", "seconds")
    for heading in shown if objective == "edges" else [s for s in shown if s != "published"]:
        table.add_column(heading, justify="right")
    table.add_column("found by")
    table.add_column("bound by")
    for name, graph in graphs:
        search(graph, objective=objective, budget=0.0)
        result = search(graph, objective=objective, budget=budget)
        costs = dict(result.baselines)
        published = [str(PUBLISHED.get(name, ""))] if objective == "edges" else []
        gap = "proved" if result.proved else str(result.cost - result.lower_bound)
        table.add_row(
            name,
            str(len(graph.intermediates)),
            *(str(costs[column]) for column in COLUMNS),
            *published,
            str(result.cost),
            str(result.lower_bound),
            gap,
            f"{result.seconds:.2f}",
            result.found_by,
            result.bound_by,
        )
    return table


def main(arguments: list[str]) -> None:
    """Print the tables."""
    budget = float(arguments[arguments.index("--budget") + 1]) if "--budget" in arguments else 10.0
    console = Console(width=150)
    console.print(orders_table("reference graphs", reference_graphs(), "edges", budget))
    models = model_graphs()
    for objective in ("edges", "muls"):
        console.print(orders_table("models", models, objective, budget))


if __name__ == "__main__":
    main(sys.argv[1:])
