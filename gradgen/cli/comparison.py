"""All searches on one graph, side by side."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import cast

from rich.table import Table

from gradgen.compile import ordering
from gradgen.config import Settings
from gradgen.elimination.cost import cost_of
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import ProductObjective
from gradgen.report.console import PlainConsole
from gradgen.search.heuristics import propose
from gradgen.search.portfolio import MANY
from gradgen.search.task import scalar_task


@dataclass(frozen=True)
class Row:
    """An order, what it costs, and how long it took to find."""

    search: str
    cost: int
    found_by: str
    seconds: float


@dataclass(frozen=True)
class SearchComparison:
    """What all searches found on a graph."""

    source: str
    intermediates: int
    objective: str
    lower_bound: int
    rows: tuple[Row, ...]


def compare(
    settings: Settings, graph: LinearGraph, status: Callable[[str], None]
) -> SearchComparison:
    """Run the heuristics, annealing, AlphaZero, and the portfolio that tries to prove its result.

    Each stands for itself here, so that AlphaZero may be dearer than a heuristic. It is left out
    where the graph has more intermediates than it plays.
    """
    objective = cast("ProductObjective", settings.objective.count)
    searches: dict[str, Callable[[], Iterable[Order]]] = {
        "annealing": lambda: _anneal(graph, objective, settings),
        "alphazero": lambda: _play(graph, objective, settings),
    }
    if len(graph.intermediates) > MANY:
        del searches["alphazero"]
    rows = [
        Row(order.found_by.partition(",")[0], cost_of(graph, order, objective), order.found_by, 0.0)
        for order in propose(graph)
    ]
    for name, run in searches.items():
        status(f"searching: {name}")
        begin = time.perf_counter()
        costs = {order: cost_of(graph, order, objective) for order in run()}
        best = min(costs, key=lambda order: costs[order])
        rows.append(Row(name, costs[best], best.found_by, time.perf_counter() - begin))
    found = ordering.search(replace(settings, search="auto"), graph, status)
    rows.append(Row("auto", found.cost, found.found_by, found.seconds))
    return SearchComparison(
        settings.path,
        len(graph.intermediates),
        settings.objective.count,
        found.lower_bound,
        tuple(rows),
    )


def _anneal(graph: LinearGraph, objective: ProductObjective, settings: Settings) -> list[Order]:
    # compiled code is imported here alone
    from gradgen.search.annealing.anneal import anneal

    return [anneal(graph, objective, effort=settings.budget, seed=settings.seed).order]


def _play(graph: LinearGraph, objective: ProductObjective, settings: Settings) -> Iterator[Order]:
    # jax, haiku and mctx are imported here alone
    from gradgen.search.alphazero.game import begin
    from gradgen.search.alphazero.pretrained import general
    from gradgen.search.alphazero.search import play

    return play(begin(scalar_task(graph, objective)), general(), settings.budget, settings.seed)


def print_table(found: SearchComparison) -> None:
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
    console = PlainConsole()
    console.print(f"{found.source}: {found.intermediates} intermediates", style="bold")
    console.print(table)


def as_json(found: SearchComparison) -> str:
    """The comparison as a JSON object."""
    return json.dumps(asdict(found), indent=1)
