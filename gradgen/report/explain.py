"""What a derivative costs and where, as tables in the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from rich.text import Text

from gradgen.ir.array_module import ArrayModule, ArrayPrice
from gradgen.ir.graph import Order
from gradgen.ir.module import Module
from gradgen.ir.objective import Measured
from gradgen.ir.source import Source
from gradgen.report.array_collect import array_equations
from gradgen.report.array_costs import array_line_costs, array_vertex_costs
from gradgen.report.array_view import EliminatedGraph, differentiations, view_arrays
from gradgen.report.console import PlainConsole
from gradgen.report.costs import LineCost, VertexCost, line_costs, vertex_costs
from gradgen.report.model_report import Equation
from gradgen.report.view import GraphView, source_lines, view_graph
from gradgen.report.wording import word
from gradgen.targets.jax.arrays import counted
from gradgen.targets.jax.render import render_arrays


@dataclass(frozen=True)
class _Elimination:
    """What eliminations on one graph take, beside those in reverse mode."""

    of: str
    order: Order
    view: GraphView
    vertices: Sequence[VertexCost]
    muls: int
    reverse_muls: int


def print_explanation(module: Module | ArrayModule) -> None:
    """Print which lines, eliminations and products the operations of a module come from."""
    console = PlainConsole()
    console.print(f"{module.source_name}: what each line costs, in operations", style="bold")
    if isinstance(module, ArrayModule):
        lines = array_line_costs(module)
        whole, *steps = differentiations(module)
        console.print(_line_table(module.source, lines))
        console.print(_array_closing(module), end="\n\n")
        console.print("what each line becomes in the text", style="bold")
        console.print(_became_table(module, whole))
        console.print()
        _print_eliminations(console, _of_arrays(module, whole))
        for step in steps:
            console.print()
            _print_eliminations(console, _of_arrays(module, step))
        return
    wording = word(module.trace, module.jacobian.chosen.program)
    lines = line_costs(module)
    plans = module.jacobian.chosen.plan, module.jacobian.reverse.plan
    console.print(_line_table(module.source, lines))
    console.print(_closing(module, lines), end="\n\n")
    found = _Elimination(
        "",
        module.jacobian.chosen.order,
        view_graph(module.graph, wording, module.source.text),
        vertex_costs(*plans),
        *(plan.muls for plan in plans),
    )
    _print_eliminations(console, found)


def _of_arrays(module: ArrayModule, found: EliminatedGraph) -> _Elimination:
    view, vertices = view_arrays(found, module.source.text), array_vertex_costs(found)
    reverse_muls = sum(cost.reverse_muls for cost in vertices)
    title, order = f" in a step of {found.title}" if found.title else "", found.plan.order
    return _Elimination(title, order, view, vertices, found.plan.muls, reverse_muls)


def _print_eliminations(console: PlainConsole, found: _Elimination) -> None:
    order, vertices = found.order, found.vertices
    title = f"what eliminations save{found.of} against reverse mode, in multiplications"
    console.print(title, style="bold")
    console.print(f"order: {order.elimination} elimination, {order.found_by}")
    if any(cost.saved for cost in vertices):
        console.print(_elimination_table(found))
    else:
        console.print("no elimination takes more or fewer than in reverse mode")
    console.print()
    console.print(f"where the {found.muls:,} multiplications{found.of} are", style="bold")
    console.print(_products_table(found.view, vertices))


def _became_table(module: ArrayModule, whole: EliminatedGraph) -> Table:
    """The statements of the vector-Jacobian product by the lines that they are of."""
    text = render_arrays(module)
    view = view_arrays(whole, module.source.text)
    table = Table()
    table.add_column("line", justify="right", no_wrap=True)
    table.add_column("text", justify="right", no_wrap=True)
    table.add_column("statement", overflow="fold")
    equations = array_equations(module, whole, view, text)
    for equation in sorted(equations, key=lambda e: (e.line is None, e.line)):
        at = "" if equation.generated is None else str(equation.generated)
        table.add_row(_also(equation), at, Text(equation.text.strip()))
    return table


def _also(equation: Equation) -> str:
    """The line that a statement is of, and those that have a part in it."""
    others = [str(line) for line in equation.lines if line != equation.line]
    first = "" if equation.line is None else str(equation.line)
    return f"{first} ({', '.join(others)})" if others else first


def _array_closing(module: ArrayModule) -> str:
    operations = counted(module, module.vjp)
    at = ", ".join(f"{axis} = {number:,}" for axis, number in module.trace.sizes)
    return (
        "step: the function itself; partials: elemental partials of what the line computes; "
        "muls and adds: eliminating it.\n"
        f"Value and vector-Jacobian product take {operations}{f' at {at}' if at else ''}: "
        f"{operations.formula}.{_measured(module.price)}"
    )


def _line_table(source: Source, costs: Sequence[LineCost]) -> Table:
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
        table.add_column(name, f"{total:,}", justify="right", no_wrap=True)
    formulas = any(cost.formula for cost in costs)
    if formulas:
        table.add_column("formula", overflow="fold")
    text = source_lines(source.text)
    for cost in costs:
        number, said = ("", "of no line") if cost.line is None else _line(text, cost.line)
        counts = (cost.step, cost.partials, cost.muls, cost.adds)
        shown = [f"{n:,}" if n else "" for n in counts]
        more = [Text(cost.formula)] if formulas else []
        table.add_row(number, Text(said), *shown, Text(f"{cost.total:,}", style="bold"), *more)
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
        f"{jacobian.reverse.operations.total}).{_measured(module.measured)}"
    )


def _measured(found: Measured | ArrayPrice | None) -> str:
    """What the program comes to by a price or an error, if one is asked for."""
    return "" if found is None else f"\nTheir {found.what} by {found.by} is {found.told()}."


def _elimination_table(found: _Elimination) -> Table:
    view, costs = found.view, found.vertices
    table = Table(show_footer=True)
    table.add_column("eliminated", "all")
    table.add_column("line", justify="right")
    for name, total in (
        ("here", found.muls),
        ("reverse", found.reverse_muls),
        ("saved", found.reverse_muls - found.muls),
    ):
        table.add_column(name, f"{total:,}", justify="right")
    different = [cost for cost in costs if cost.saved]
    for cost in sorted(different, key=lambda c: (-c.saved, c.vertex)):
        saved = Text(f"{cost.saved:+,d}", style="green" if cost.saved > 0 else "red")
        counts = f"{cost.muls:,}", f"{cost.reverse_muls:,}"
        table.add_row(*_vertex(view, cost.vertex), *counts, saved)
    same = [cost for cost in costs if not cost.saved]
    if same:
        counts = f"{sum(c.muls for c in same):,}", f"{sum(c.reverse_muls for c in same):,}"
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
            row = *_vertex(view, cost.vertex), f"{cost.muls:,}", Text("\n".join(products))
            table.add_row(*row)
    return table


def _vertex(view: GraphView, number: int) -> tuple[Text, str]:
    vertex = view.vertices[number]
    return Text(vertex.equation or vertex.name), "" if vertex.line is None else str(vertex.line)
