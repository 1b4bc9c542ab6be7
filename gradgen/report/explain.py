"""What a derivative costs and where, as tables in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gradgen.ir.module import Module
from gradgen.report.costs import LineCost, VertexCost, line_costs, vertex_costs
from gradgen.report.view import GraphView, source_lines, view_graph
from gradgen.report.wording import word


def print_explanation(module: Module) -> None:
    """Print which lines, eliminations and products the operations of a module come from."""
    console = Console(highlight=False, markup=False)
    wording = word(module.trace, module.jacobian.chosen.program)
    view = view_graph(module.graph, wording, module.source.text)
    lines = line_costs(module)
    plans = module.jacobian.chosen.plan, module.jacobian.reverse.plan
    vertices = vertex_costs(*plans)
    order, muls = module.jacobian.chosen.order, plans[0].muls
    console.print(f"{module.source_name}: what each line costs, in operations", style="bold")
    console.print(_line_table(module, lines))
    console.print(_closing(module, lines), end="\n\n")
    console.print("what eliminations save against reverse mode, in multiplications", style="bold")
    console.print(f"order: {order.elimination} elimination, {order.found_by}")
    if any(cost.saved for cost in vertices):
        console.print(_elimination_table(module, view, vertices))
    else:
        console.print("no elimination takes more or fewer than in reverse mode")
    console.print()
    console.print(f"where the {muls} multiplications are", style="bold")
    console.print(_products_table(view, vertices))


def _line_table(module: Module, costs: Sequence[LineCost]) -> Table:
    table = Table(show_footer=True)
    table.add_column("line", "", justify="right", no_wrap=True)
    # where the window is narrow, this column alone gives way
    table.add_column("source", "all", overflow="fold")
    sums = [
        ("step", sum(c.step for c in costs)),
        ("partials", sum(c.partials for c in costs)),
        ("muls", sum(c.muls for c in costs)),
        ("adds", sum(c.adds for c in costs)),
        ("all", sum(c.total for c in costs)),
    ]
    for name, total in sums:
        table.add_column(name, str(total), justify="right", no_wrap=True)
    text = source_lines(module.source.text)
    for cost in costs:
        number, source = ("", "of no line") if cost.line is None else _line(text, cost.line)
        counts = (cost.step, cost.partials, cost.muls, cost.adds)
        shown = [str(n) if n else "" for n in counts]
        table.add_row(number, Text(source), *shown, Text(str(cost.total), style="bold"))
    return table


def _line(text: Sequence[str], number: int) -> tuple[str, str]:
    return str(number), text[number - 1].strip()


def _closing(module: Module, costs: Sequence[LineCost]) -> str:
    """How the sums above become the operations of the program."""
    jacobian = module.jacobian
    before = sum(cost.total for cost in costs)
    return (
        "step: the function itself; partials: elemental partials of what the line computes; "
        "muls and adds: eliminating it.\n"
        f"Folding, sharing and algebra make {jacobian.chosen.operations.total} operations of these "
        f"{before} (forward mode {jacobian.forward.operations.total}, reverse mode "
        f"{jacobian.reverse.operations.total})."
    )


def _elimination_table(module: Module, view: GraphView, costs: Sequence[VertexCost]) -> Table:
    plans = module.jacobian.chosen.plan, module.jacobian.reverse.plan
    table = Table(show_footer=True)
    table.add_column("eliminated", "all")
    table.add_column("line", justify="right")
    for name, total in (
        ("here", plans[0].muls),
        ("reverse", plans[1].muls),
        ("saved", plans[1].muls - plans[0].muls),
    ):
        table.add_column(name, str(total), justify="right")
    different = [cost for cost in costs if cost.saved]
    for cost in sorted(different, key=lambda c: (-c.saved, c.vertex)):
        saved = Text(f"{cost.saved:+d}", style="green" if cost.saved > 0 else "red")
        counts = str(cost.muls), str(cost.reverse_muls)
        table.add_row(*_vertex(view, cost.vertex), *counts, saved)
    same = [cost for cost in costs if not cost.saved]
    if same:
        counts = str(sum(c.muls for c in same)), str(sum(c.reverse_muls for c in same))
        table.add_row(f"{len(same)} others", "", *counts, "0", style="dim")
    return table


def _products_table(view: GraphView, costs: Sequence[VertexCost]) -> Table:
    table = Table()
    table.add_column("eliminated")
    table.add_column("line", justify="right")
    table.add_column("muls", justify="right")
    table.add_column("products", overflow="fold")
    for cost in sorted(costs, key=lambda c: (-c.muls, c.vertex)):
        if cost.muls:
            products = [
                f"{view.derivative(c.middle, c.target)} · {view.derivative(c.source, c.middle)}"
                for c in cost.products
                if not c.free
            ]
            row = *_vertex(view, cost.vertex), str(cost.muls), Text("\n".join(products))
            table.add_row(*row)
    return table


def _vertex(view: GraphView, number: int) -> tuple[Text, str]:
    vertex = view.vertices[number]
    return Text(vertex.equation or vertex.name), "" if vertex.line is None else str(vertex.line)
