"""What a search found, as a table for people and as JSON for programs."""

from __future__ import annotations

import json

from rich.table import Table

from gradgen.config import Settings
from gradgen.elimination.array_graphs import ArrayGraph
from gradgen.ir.graph import LinearGraph
from gradgen.report.console import PlainConsole
from gradgen.search.portfolio import SearchResult


def as_document(settings: Settings, graph: LinearGraph | ArrayGraph, result: SearchResult) -> str:
    """The result as a JSON object: the costs by name, what is proved, and the order itself."""
    content = {
        "graph": graph.fingerprint,
        "intermediates": len(graph.intermediates),
        "objective": settings.objective.name,
        "elimination": settings.elimination,
        **dict(result.baselines),
        "best": result.cost,
        "lower_bound": result.lower_bound,
        "proved_optimal": result.proved,
        "found_by": result.found_by,
        "bound_by": result.bound_by,
        "seconds": round(result.seconds, 3),
        "order": json.loads(result.order.to_json()),
    }
    return json.dumps(content, indent=1)


def print_table(settings: Settings, graph: LinearGraph | ArrayGraph, result: SearchResult) -> None:
    """Print the costs, one a line, with how each was found."""
    table = Table()
    table.add_column("order")
    count, on_arrays = settings.objective.name, isinstance(graph, ArrayGraph)
    table.add_column(heading(count, on_arrays), justify="right")
    table.add_column("how")
    for name, cost in result.baselines:
        table.add_row(name, cell(count, cost, on_arrays), "")
    table.add_row("best", cell(count, result.cost, on_arrays), result.found_by, style="bold")
    if result.bound_by:
        bound = cell(count, result.lower_bound, on_arrays)
        table.add_row("lower bound", bound, result.bound_by)
    console = PlainConsole()
    console.print(
        f"{settings.path}: {settings.elimination} elimination, "
        f"{len(graph.intermediates)} intermediates",
        style="bold",
    )
    console.print(table)
    console.print(verdict(result))


def heading(count: str, on_arrays: bool) -> str:
    """What a column of a count is called."""
    return f"{count} (bytes)" if on_arrays and count == "peak" else count


def cell(count: str, cost: int, on_arrays: bool) -> str:
    """A count; of values that cross neurons with their bytes in float32."""
    return f"{cost:,} ({4 * cost:,} bytes)" if on_arrays and count == "locality" else f"{cost:,}"


def verdict(result: SearchResult) -> str:
    """Whether the order is proved to be the best, or how far from it it may be."""
    if result.proved:
        return f"optimal (proved), in {result.seconds:.2f} s"
    if not result.bound_by:
        return (
            "not proved to be optimal; no lower bound is known, nor how far from it this is, "
            f"in {result.seconds:.2f} s"
        )
    gap = (result.cost - result.lower_bound) / result.cost
    return (
        f"at most {result.cost - result.lower_bound} above the optimum ({gap:.1%}), "
        f"in {result.seconds:.2f} s"
    )
