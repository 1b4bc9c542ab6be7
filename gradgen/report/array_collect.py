"""Collects what there is to report about a module on arrays."""

from __future__ import annotations

import ast

from gradgen.ir.array_module import ArrayModule
from gradgen.ir.emitted import PROGRAMS
from gradgen.ir.shapes import DEFAULT_SIZE, axes_in, size
from gradgen.report.array_costs import array_line_costs, compared, kept_by, parts_of
from gradgen.report.array_view import EliminatedGraph, differentiations, view_arrays
from gradgen.report.collect import listed_lines
from gradgen.report.model_report import Equation, LoopReport, ModelReport, OperationCounts
from gradgen.report.replayed import replayed_arrays
from gradgen.report.view import GraphView
from gradgen.report.wording import nested_lines
from gradgen.targets.jax.array_printing import printed
from gradgen.targets.jax.arrays import counted
from gradgen.verify.times import Times
from gradgen.verify.verdict import Verdict

_TITLES = {"gradient": "value and gradient", "backward": "backward pass of training"}
_SHOWN = ("vjp", "gradient", "backward", "jvp", "primal", "hvp")
"""Programs whose statements are shown: of the first that the text has."""


def collect_arrays(
    module: ArrayModule,
    text: str,
    verification: Verdict,
    basis: str = "",
    times: Times | None = None,
) -> ModelReport:
    """What a report says about a module on arrays and its verified text.

    `basis` is a remark about where its order comes from, `times` what was measured, if anything.
    """
    source, sizes = module.source, dict(module.trace.sizes)
    whole, *steps = differentiations(module)
    view = view_arrays(whole, source.text)
    equations = array_equations(module, whole, view, text)
    return ModelReport(
        function=source.function,
        source_name=module.source_name,
        about=ast.get_docstring(ast.parse(source.text)) or "",
        wrt=tuple(i.path for i in module.trace.inputs if i.wrt),
        generator=module.generator,
        graph=view,
        replay=replayed_arrays(whole, view),
        comparisons=compared(module, whole),
        jacobian=None,
        operations=_operations(module),
        verification=verification,
        source=listed_lines(source, array_line_costs(module), equations),
        equations=equations,
        text=text,
        basis=basis,
        sizes=tuple((axis, sizes.get(axis, DEFAULT_SIZE)) for axis in axes_in(module.trace.shapes)),
        loops=tuple(_loop(module, step) for step in steps),
        parts=parts_of(module, text),
        kept=kept_by(module),
        times=times,
    )


def array_equations(
    module: ArrayModule, whole: EliminatedGraph, view: GraphView, text: str
) -> tuple[Equation, ...]:
    """The statements of the derivative in the text, with the source's lines that they are of."""
    shown = [printed(module, name) for name in _SHOWN if name in module.programs]
    chosen = next(p for p in shown if f"def {p.function}(" in text)
    lines = nested_lines(text, chosen.function)
    vertex = {v: k for k, v in enumerate(whole.graph.vertices)}
    partials: dict[int, list[str]] = {}
    for edge in view.edges:
        known = f"{view.derivative(edge.source, edge.target)} = {edge.partial}  [{edge.axes}]"
        partials.setdefault(edge.target, []).append(known)
    return tuple(
        Equation(
            text=f"{'    ' * len(s.scope)}{s.text}",
            line=s.line,
            lines=tuple(sorted(s.lines)),
            generated=lines.get((*s.scope, s.name)),
            vertex=None if s.scope else vertex.get(s.variable),
            partials=() if s.scope else tuple(partials.get(vertex.get(s.variable, -1), ())),
        )
        for s in chosen.statements
    )


def _operations(module: ArrayModule) -> tuple[OperationCounts, ...]:
    found = []
    for name, program in module.programs.items():
        title = _TITLES.get(name) or (PROGRAMS[name].title if name in PROGRAMS else "")
        if title:
            numbers = counted(module, program)
            counts = tuple((kind, n.at(numbers.sizes)) for kind, n in numbers.counts)
            said = "the function itself" if name == "primal" else title
            found.append(OperationCounts(said, counts, numbers.total, numbers.formula))
    return tuple(found)


def _loop(module: ArrayModule, step: EliminatedGraph) -> LoopReport:
    assert step.loop is not None
    view = view_arrays(step, module.source.text)
    return LoopReport(
        title=step.title,
        line=step.line,
        length=str(step.loop.length),
        steps=size(step.loop.length, step.sizes),
        graph=view,
        replay=replayed_arrays(step, view),
        comparisons=compared(module, step),
        recurrence=_recurrence(step),
    )


def _recurrence(step: EliminatedGraph) -> tuple[tuple[str, str], ...]:
    """What a step makes of what it carries, by the names of its equations."""
    assert step.loop is not None
    named = step.trace.input_names
    return tuple(
        (
            step.wording.name(after) if isinstance(after, str) else repr(after.value),
            step.wording.name(given.variable) if given.variable in named else "a sum so far",
        )
        for given, after in zip(step.loop.carry, step.loop.carried, strict=True)
    )
