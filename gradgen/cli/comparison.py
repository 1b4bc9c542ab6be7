"""All searches on one graph, side by side."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import cast

from rich.table import Table

from gradgen.compile import ordering
from gradgen.config import Settings
from gradgen.elimination.array_graphs import ArrayGraph
from gradgen.errors import GradgenError
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.plan import ProductObjective
from gradgen.report.console import PlainConsole
from gradgen.search.portfolio import MANY
from gradgen.search.task import Task, scalar_task


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
    settings: Settings, graph: LinearGraph | ArrayGraph, status: Callable[[str], None]
) -> SearchComparison:
    """Run the heuristics, annealing, AlphaZero, and the search that tries to prove its result.

    Each stands for itself here, so that AlphaZero may be dearer than a heuristic. It is left out
    where the graph is larger than those that it plays. Raises GradgenError for an objective that
    the graph has not, and for loops over time.
    """
    task = _task(settings, graph)
    found = ordering.search(replace(settings, search="auto"), graph, status)
    rows = [
        Row(order.found_by.partition(",")[0], task.cost(order), order.found_by, 0.0)
        for order in task.baselines
    ]
    for name, run in (("annealing", _anneal), ("alphazero", _play)):
        status(f"searching: {name}")
        begin = time.perf_counter()
        costs = {order: task.cost(order) for order in run(settings, graph, task)}
        if costs:
            best = min(costs, key=lambda order: costs[order])
            rows.append(Row(name, costs[best], best.found_by, time.perf_counter() - begin))
    rows.append(Row("auto", found.cost, found.found_by, found.seconds))
    return SearchComparison(
        settings.path,
        len(graph.intermediates),
        settings.objective.count,
        found.lower_bound,
        tuple(rows),
    )


def _task(settings: Settings, graph: LinearGraph | ArrayGraph) -> Task:
    if isinstance(graph, ArrayGraph):
        return ordering.task_of_arrays(graph, settings.path)
    return scalar_task(graph, cast("ProductObjective", settings.objective.count))


def _anneal(settings: Settings, graph: LinearGraph | ArrayGraph, task: Task) -> Iterable[Order]:
    if isinstance(graph, ArrayGraph):
        return [task.search(settings.budget, settings.seed)]
    # compiled code is imported here alone
    from gradgen.search.annealing.anneal import anneal

    return [anneal(graph, task.objective, effort=settings.budget, seed=settings.seed).order]


def _play(settings: Settings, graph: LinearGraph | ArrayGraph, task: Task) -> Iterable[Order]:
    # jax, haiku and mctx are imported here alone
    from gradgen.search.alphazero.game import begin
    from gradgen.search.alphazero.pretrained import general
    from gradgen.search.alphazero.search import play

    if len(graph.intermediates) > MANY:
        return []
    try:
        game = begin(task)
    except GradgenError:  # of too many terms
        return []
    return play(game, general(), settings.budget, settings.seed)


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
        table.add_row(row.search, f"{row.cost:,}", f"{row.seconds:.2f}", row.found_by, style=style)
    proof = "which is met: optimal (proved)" if best == found.lower_bound else ""
    # nothing is known of most graphs of arrays
    bound = f"{found.lower_bound:,}" if found.lower_bound else "unknown"
    table.add_row("lower bound", bound, "", proof)
    console = PlainConsole()
    console.print(f"{found.source}: {found.intermediates} intermediates", style="bold")
    console.print(table)


def as_json(found: SearchComparison) -> str:
    """The comparison as a JSON object."""
    return json.dumps(asdict(found), indent=1)
