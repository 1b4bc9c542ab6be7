"""All searches on one graph, side by side."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import cast

from rich.console import Console
from rich.table import Table

from gradgen import ordering, pipeline
from gradgen.config import Search, Settings
from gradgen.elimination.cost import cost_of
from gradgen.ir.plan import ProductObjective
from gradgen.search.heuristics import propose


@dataclass(frozen=True)
class Row:
    """An order, what it costs, and how long it took to find."""

    search: str
    cost: int
    found_by: str
    seconds: float


@dataclass(frozen=True)
class Comparison:
    """What all searches found on a graph."""

    source: str
    intermediates: int
    objective: str
    lower_bound: int
    rows: tuple[Row, ...]


def compare(settings: Settings, status: Callable[[str], None]) -> Comparison:
    """Run the heuristics, the portfolio of exact search and annealing, and AlphaZero."""
    graph = pipeline.graph_from(settings)
    objective = cast("ProductObjective", settings.objective)
    rows = []
    for order in propose(graph):
        begin = time.perf_counter()
        cost = cost_of(graph, order, objective)
        name = order.found_by.partition(",")[0]
        rows.append(Row(name, cost, order.found_by, time.perf_counter() - begin))
    bound = 0
    searches: tuple[Search, ...] = ("alphazero", "auto")
    for search in searches:
        status(f"searching: {search}")
        found = ordering.search(replace(settings, search=search), graph, status)
        rows.append(Row(search, found.cost, found.found_by, found.seconds))
        bound = max(bound, found.lower_bound)
    return Comparison(
        settings.path, len(graph.intermediates), settings.objective, bound, tuple(rows)
    )


def print_table(found: Comparison) -> None:
    """Print an order a line, the cheapest in bold, and the lower bound."""
    table = Table()
    table.add_column("search")
    table.add_column(found.objective, justify="right")
    table.add_column("seconds", justify="right")
    table.add_column("found by")
    best = min(row.cost for row in found.rows)
    for row in found.rows:
        style = "bold" if row.cost == best else None
        table.add_row(row.search, str(row.cost), f"{row.seconds:.2f}", row.found_by, style=style)
    proof = "which is met: optimal (proved)" if best == found.lower_bound else ""
    table.add_row("lower bound", str(found.lower_bound), "", proof)
    console = Console(highlight=False)
    console.print(f"{found.source}: {found.intermediates} intermediates", style="bold")
    console.print(table)


def as_json(found: Comparison) -> str:
    """The comparison as a JSON object."""
    return json.dumps(asdict(found), indent=1)
