"""Collects what there is to report about a module."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence

from gradgen.elimination.accumulate import accumulate
from gradgen.ir.emitted import PROGRAMS
from gradgen.ir.module import Module
from gradgen.ir.program import Program, count_operations
from gradgen.ir.source import Source
from gradgen.lowering.lower import Lowering
from gradgen.report.costs import LineCost, line_costs
from gradgen.report.model_report import (
    ComparedCount,
    Equation,
    ModelReport,
    OperationCounts,
    SourceLine,
    Sparsity,
)
from gradgen.report.replayed import replayed
from gradgen.report.view import GraphView, source_lines, vertex_variables, view_graph
from gradgen.report.wording import Wording, holders, statement_lines, word
from gradgen.search.heuristics import propose
from gradgen.verify.verdict import Verdict


def collect(module: Module, text: str, verification: Verdict, basis: str = "") -> ModelReport:
    """What a report says about a module and its verified text.

    `basis` is a remark about where its order comes from.
    """
    wording = word(module.trace, module.jacobian.chosen.program)
    view = view_graph(module.graph, wording, module.source.text)
    equations = _equations(module, wording, view, text)
    return ModelReport(
        function=module.source.function,
        source_name=module.source_name,
        about=ast.get_docstring(ast.parse(module.source.text)) or "",
        wrt=tuple(i.path for i in module.trace.inputs if i.wrt),
        generator=module.generator,
        graph=view,
        replay=replayed(module.graph, view, module.jacobian.chosen),
        comparisons=_comparisons(module),
        jacobian=_sparsity(module, view),
        operations=_operations(module),
        verification=verification,
        source=listed_lines(module.source, line_costs(module), equations),
        equations=equations,
        text=text,
        basis=basis,
    )


def _comparisons(module: Module) -> tuple[ComparedCount, ...]:
    """The order that was chosen beside forward, reverse and the better Markowitz order."""
    jacobian = module.jacobian
    plans = [accumulate(module.graph, o) for o in propose(module.graph, ("markowitz",))]
    lowering = Lowering(module.trace)
    programs = [lowering.jacobian(plan) for plan in plans]
    forward, reverse, best = jacobian.forward, jacobian.reverse, jacobian.chosen
    return (
        ComparedCount(
            "muls",
            forward.plan.muls,
            reverse.plan.muls,
            min(plan.muls for plan in plans),
            best.plan.muls,
        ),
        ComparedCount(
            "edges",
            forward.plan.edges,
            reverse.plan.edges,
            min(plan.edges for plan in plans),
            best.plan.edges,
        ),
        ComparedCount(
            "ops",
            forward.operations.total,
            reverse.operations.total,
            min(count_operations(program.instructions).total for program in programs),
            best.operations.total,
        ),
        *_measured(module, programs),
    )


def _measured(module: Module, markowitz: Sequence[Program]) -> tuple[ComparedCount, ...]:
    """The same by the price or the error that the module goes by, if it goes by one."""
    found, prices = module.measured, module.objective.prices
    if found is None:
        return ()
    middle = min(map(prices.price, markowitz)) if found.what == "price" else None
    unit = found.unit or f"{found.by}, relative"
    return (ComparedCount(found.what, found.forward, found.reverse, middle, found.chosen, unit),)


def _sparsity(module: Module, view: GraphView) -> Sparsity:
    graph, plan = module.graph, module.jacobian.chosen.plan
    kinds = [*(edge.kind for edge in graph.edges), *(step.kind for step in plan.steps)]
    entries = {(row, column): kinds[value] for row, column, value in plan.entries}
    above = {graph.vertices[v].path: v for v in graph.dependents}
    below = {graph.vertices[v].path: v for v in graph.independents}
    rows = [o.path for o in module.trace.float_outputs]
    columns = [i.path for i in module.trace.inputs if i.wrt]

    def labels(paths: Sequence[str], vertex: Mapping[str, int], otherwise: str) -> tuple[str, ...]:
        return tuple(
            view.vertices[vertex[path]].label if path in vertex else f"{otherwise}{path}"
            for path in paths
        )

    return Sparsity(
        outputs=labels(rows, above, "out "),
        inputs=labels(columns, below, ""),
        kinds=tuple(
            tuple(entries.get((above.get(row, -1), below.get(column, -1))) for column in columns)
            for row in rows
        ),
    )


def _operations(module: Module) -> tuple[OperationCounts, ...]:
    counted = {
        PROGRAMS[name].title: count_operations(program.instructions)
        for name, program in module.programs.items()
        if PROGRAMS[name].title
    }
    return tuple(
        OperationCounts(title, found.counts, found.total) for title, found in counted.items()
    )


def _equations(
    module: Module, wording: Wording, view: GraphView, text: str
) -> tuple[Equation, ...]:
    """The statements of the step in order, each with what it comes from and what became of it."""
    variables = vertex_variables(module.graph, wording)
    # an output that is read further has a vertex before that of the output itself
    vertex = {variable: v for v, variable in reversed(variables.items())}
    statements = wording.equations(variables.values())
    member = holders(wording.primal, statements)
    lines: dict[str, set[int]] = {variable: set() for variable in statements}
    home: dict[str, int] = {}
    for label in module.trace.labels:
        alias = wording.aliases.get(label.variable, "")
        if alias in member and label.line is not None:
            lines[member[alias]].add(label.line)
            # the call of a function with a rule of its own comes after what it computes
            home[alias] = label.line
    assigned = statement_lines(text, "_value_and_entries")
    by_name = {wording.names[i.target]: i.target for i in wording.primal}
    written = holders(wording.primal, [by_name[n] for n in assigned if n in by_name])
    partials: dict[int, list[str]] = {}
    for edge in view.edges:
        known = f"{view.derivative(edge.source, edge.target)} = {edge.partial}"
        partials.setdefault(edge.target, []).append(known)
    return tuple(
        Equation(
            text=line,
            line=home.get(variable),
            lines=tuple(sorted(lines[variable])),
            generated=assigned.get(wording.names.get(written.get(variable, ""), "")),
            vertex=vertex.get(variable),
            partials=tuple(partials.get(vertex.get(variable, -1), ())),
        )
        for variable, line in statements.items()
    )


def listed_lines(
    source: Source, line_costs: Sequence[LineCost], equations: tuple[Equation, ...]
) -> tuple[SourceLine, ...]:
    """The lines of the functions that are traced, the target among them."""
    found: dict[int, list[int]] = {}
    for number, equation in enumerate(equations):
        for line in equation.lines:
            found.setdefault(line, []).append(number)
    costs = {cost.line: cost for cost in line_costs}
    wanted = {*found, source.position.line}
    lines = source_lines(source.text)
    return tuple(
        SourceLine(number, lines[number - 1], tuple(found.get(number, ())), costs.get(number))
        for first, last in _statements(source.text)
        if any(first <= line <= last for line in wanted)
        for number in range(first, last + 1)
    )


def _statements(text: str) -> list[tuple[int, int]]:
    """The first and last lines of the statements at a file's top level, decorators included."""
    spans = []
    for node in ast.parse(text).body:
        decorators = getattr(node, "decorator_list", [])
        first = min([node.lineno, *(d.lineno for d in decorators)])
        spans.append((first, node.end_lineno or node.lineno))
    return spans
