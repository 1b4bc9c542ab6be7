"""What edge elimination saves over vertex elimination, on models and reference graphs.

`python -m benchmarks.edges` prints a table: for each model, with respect to states and input
and with respect to every argument, and for each reference graph, the cheapest order found of each
kind. The search over edges starts from the best order of vertices, and `--iterations` says how long
it is. Names of models or graphs choose some of them.
"""

from __future__ import annotations

import argparse
import inspect
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

from rich.console import Console
from rich.table import Table

from gradgen.compile.front import open_front
from gradgen.compile.graphs import graph_of
from gradgen.config import Settings
from gradgen.elimination.cost import cost_of
from gradgen.ir.graph import LinearGraph
from gradgen.ir.graph_file import read_graph
from gradgen.ir.plan import ProductObjective
from gradgen.search.portfolio import search
from gradgen.search.steps.anneal import search_edges
from gradgen.search.steps.path_bound import path_bound

ROOT = Path(__file__).resolve().parent.parent
OBJECTIVES: tuple[ProductObjective, ...] = get_args(ProductObjective)
SEED = 0


def model_graphs(path: Path) -> Iterator[tuple[str, LinearGraph]]:
    """A model's graph for states and input, and for all arguments where these are more."""
    front = open_front(Settings(str(path)))
    yield path.stem, graph_of(front)
    parameters = inspect.signature(front.function).parameters.values()
    if any(p.default is not p.empty for p in parameters):
        wrt = ", ".join(p.name for p in parameters)
        settings = Settings(str(path), directives=(("wrt", wrt),))
        yield f"{path.stem}, all arguments", graph_of(open_front(settings))


def cheapest(graph: LinearGraph, objective: ProductObjective, iterations: int) -> tuple[int, int]:
    """The costs of the cheapest orders found of vertices and of edges."""
    found = search(graph, objective=objective, seed=SEED)
    order = search_edges(graph, objective, start=found.order, iterations=iterations, seed=SEED)
    return found.cost, cost_of(graph, order, objective)


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help="models or graphs; all of them by default")
    parser.add_argument("--iterations", type=int, default=200_000)
    chosen = parser.parse_args(arguments)
    paths = sorted((ROOT / "models").glob("*.py"))
    paths += sorted((ROOT / "tests" / "data" / "graphs").glob("*.json"))
    table = Table("graph", "intermediates", "objective", "bound", "vertex", "edge")
    console = Console()
    for path in paths:
        if chosen.names and path.stem not in chosen.names:
            continue
        is_model = path.suffix == ".py"
        graphs = (
            list(model_graphs(path))
            if is_model
            else [(path.stem, read_graph(path.read_text("utf-8")))]
        )
        for name, graph in graphs:
            # all edges of the reference graphs are variable, so both objectives are the same
            for objective in OBJECTIVES if is_model else ("edges",):
                costs = cheapest(graph, objective, chosen.iterations)
                least = path_bound(graph, objective)
                cells = len(graph.intermediates), objective, least, *costs
                table.add_row(name, *map(str, cells))
                console.print(f"{name}: {objective} {costs}", style="dim")
    console.print(table)


if __name__ == "__main__":
    main()
