"""`gradgen search --pareto`: what is asked for, and the front as a table, as JSON and as files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
from rich.table import Table

from gradgen.cli.search_table import cell, heading
from gradgen.cli.terminal import Terminal, printing
from gradgen.cli.works import graph_to_search
from gradgen.compile.fronts import front
from gradgen.compile.outputs import is_order, require_apart, require_free
from gradgen.config import Settings
from gradgen.elimination.array_graphs import ArrayGraph
from gradgen.errors import GradgenError
from gradgen.files import write_atomically
from gradgen.ir.graph import LinearGraph
from gradgen.ir.objective import FEW_MULTIPLICATIONS, NAMED
from gradgen.report.console import PlainConsole
from gradgen.report.front import Panel, write_fronts
from gradgen.search.arrays.states import Cost
from gradgen.search.pareto.points import ParetoFront


def search_front(
    settings: Settings,
    counts: tuple[str, str],
    terminal: Terminal,
    *,
    output: str | None,
    figure: str | None,
    force: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """Look for a front, print it, and write its orders and its picture where that is asked for."""
    if settings.search != "auto" or settings.elimination != "vertex":
        raise GradgenError(
            "a front is of vertex orders, which are looked for as --search auto does",
            hint="leave --search and --elimination out",
        )
    if settings.objective != FEW_MULTIPLICATIONS:
        raise GradgenError(
            "--pareto says what is to be small, and so does --objective",
            hint="leave --objective out",
        )
    # what only some sources have is refused with its place where they are read
    special = [count for count in counts if count in ("edges", "locality")]
    read = replace(settings, objective=NAMED[special[0] if special else counts[0]])
    for path in filter(None, (output, figure)):
        require_apart(path, settings)
    terminal.status("reading")
    try:
        graph = graph_to_search(read, terminal.status, debug=debug)
    except GradgenError as error:
        if error.about == "objective":
            error.hint = "others take --pareto muls,peak"
        raise
    found = front(settings, graph, counts, terminal.status)
    terminal.stop()
    if figure is not None:
        require_free(figure, settings, is_picture, force=force)
    files = [] if output is None else order_files(output, found)
    for path, _ in files:
        require_free(path, settings, is_order, force=force)
    for path, text in files:
        write_atomically(path, text)
    if figure is not None:
        on_arrays = isinstance(graph, ArrayGraph)
        labels = heading(counts[0], on_arrays), heading(counts[1], on_arrays)
        name = Path(settings.path).stem
        panel = Panel(found, name, labels)
        write_atomically(figure, write_fronts([panel], f"Orders of {name}"))
    with printing():
        click.echo(as_document(graph, found)) if as_json else print_front(settings, graph, found)


def is_picture(text: str) -> bool:
    """Whether a text is a picture."""
    return "<svg" in text


def print_front(settings: Settings, graph: LinearGraph | ArrayGraph, found: ParetoFront) -> None:
    """Print the plain orders, then the points by number."""
    on_arrays = isinstance(graph, ArrayGraph)

    def numbers(costs: Cost) -> list[str]:
        pairs = zip(found.objectives, costs, strict=True)
        return [cell(count, cost, on_arrays) for count, cost in pairs]

    table = Table()
    table.add_column("order")
    for count in found.objectives:
        table.add_column(heading(count, on_arrays), justify="right")
    table.add_column("how")
    for name, costs in found.plain:
        table.add_row(name, *numbers(costs), "")
    for number, point in enumerate(found.points, start=1):
        table.add_row(str(number), *numbers(point.costs), point.order.found_by, style="bold")
    console = PlainConsole()
    console.print(
        f"{settings.path}: vertex elimination, {len(graph.intermediates)} intermediates",
        style="bold",
    )
    console.print(table)
    console.print(verdict(graph, found))


def verdict(graph: LinearGraph | ArrayGraph, found: ParetoFront) -> str:
    """Whether these are proved to be all points."""
    seconds = f"in {found.seconds:.2f} s"
    if not found.complete:
        return f"not proved: there may be others between and below, {seconds}"
    around = isinstance(graph, ArrayGraph) and graph.loops
    kept = " of those that take the loops by the plain mode" if around else ""
    return f"no order{kept} is better in one and as good in the other (proved), {seconds}"


def as_document(graph: LinearGraph | ArrayGraph, found: ParetoFront) -> str:
    """The front as a JSON object, with the orders."""

    def named(costs: Cost) -> dict[str, int]:
        return dict(zip(found.objectives, costs, strict=True))

    content = {
        "graph": graph.fingerprint,
        "intermediates": len(graph.intermediates),
        "objectives": found.objectives,
        **{name: named(costs) for name, costs in found.plain},
        "points": [{**named(p.costs), "order": p.document()} for p in found.points],
        "proved_complete": found.complete,
        "seconds": round(found.seconds, 3),
    }
    return json.dumps(content, indent=1)


def order_files(output: str, found: ParetoFront) -> Sequence[tuple[str, str]]:
    """The files of the orders, by the numbers of the table, and what is in each: of `order.json`
    they are `order_1.json` and so on."""
    path = Path(output)
    return [
        (
            str(path.with_name(f"{path.stem}_{number}{path.suffix}")),
            json.dumps(point.document(), indent=1) + "\n",
        )
        for number, point in enumerate(found.points, start=1)
    ]
