"""What source lines and eliminations cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from gradgen.elimination.contractions import Contraction, additions, contractions
from gradgen.ir.code import Instruction, Var, live_code
from gradgen.ir.identity import stable_names
from gradgen.ir.module import Module
from gradgen.ir.plan import Plan
from gradgen.ir.program import PARTIALS, Program, count_operations
from gradgen.lowering.lower import Lowering
from gradgen.report.view import vertex_lines
from gradgen.report.wording import Wording, word

Line = int | None
"""Of the source; None for what belongs to no line of it."""


@dataclass(frozen=True)
class LineCost:
    """What a line of the source costs before algebra is applied to the derivative.

    On arrays, what it costs in the finished program of the vector-Jacobian product.
    """

    line: Line
    step: int
    """Operations of the step itself."""
    partials: int
    """Operations of the elemental partials of what the line computes."""
    muls: int
    """Multiplications that eliminate the vertices which the line computes."""
    adds: int
    """Additions that go with them."""
    formula: str = ""
    """On arrays, all of these in the sizes of axes."""

    @property
    def total(self) -> int:
        """All of these."""
        return self.step + self.partials + self.muls + self.adds


@dataclass(frozen=True)
class VertexCost:
    """What it costs that paths over a vertex are multiplied out, and what reverse mode pays."""

    vertex: int
    products: tuple[Contraction, ...]
    muls: int
    reverse_muls: int

    @property
    def saved(self) -> int:
        """Multiplications that the order takes less than reverse mode; negative if more."""
        return self.reverse_muls - self.muls


def line_costs(module: Module) -> tuple[LineCost, ...]:
    """The costs by line, those of no line last.

    The columns add up to the operations of the step, to those of the partials in the program as it
    was lowered, and to the accumulation's multiplications and additions.
    """
    plan = module.jacobian.chosen.plan
    lowered = Lowering(module.trace).jacobian(plan)
    of_vertex = vertex_lines(module.graph, word(module.trace, lowered))
    step = _operations(module.primal.instructions, _primal_lines(word(module.trace, module.primal)))
    partials = [i for s in lowered.sections if s.title == PARTIALS for i in s.instructions]
    elemental = _operations(partials, _partial_lines(module, lowered, partials))
    muls = Counter(of_vertex.get(c.middle) for c in contractions(plan) if not c.free)
    adds = Counter(of_vertex.get(vertex) for vertex in additions(plan))
    lines = {*step, *elemental, *muls, *adds}
    return tuple(
        LineCost(line, step[line], elemental[line], muls[line], adds[line])
        for line in sorted(lines, key=lambda line: (line is None, line))
    )


def vertex_costs(plan: Plan, reverse: Plan) -> tuple[VertexCost, ...]:
    """The costs of every intermediate, in topological order."""
    ours, theirs = _by_middle(plan), _by_middle(reverse)
    return tuple(
        VertexCost(
            vertex=v,
            products=tuple(ours.get(v, ())),
            muls=sum(not c.free for c in ours.get(v, ())),
            reverse_muls=sum(not c.free for c in theirs.get(v, ())),
        )
        for v in plan.graph.intermediates
    )


def _by_middle(plan: Plan) -> dict[int, list[Contraction]]:
    found: dict[int, list[Contraction]] = {}
    for contraction in contractions(plan):
        found.setdefault(contraction.middle, []).append(contraction)
    return found


def _operations(code: Iterable[Instruction], lines: dict[Var, Line]) -> Counter[Line]:
    found: Counter[Line] = Counter()
    for instruction in code:
        found[lines.get(instruction.target)] += count_operations([instruction]).total
    return +found


def _primal_lines(wording: Wording) -> dict[Var, Line]:
    """The first line that computes each of the program's values."""
    lines: dict[Var, Line] = {}
    labels = {label.variable: label.line for label in wording.trace.labels}
    for instruction in wording.trace.primal:
        alias = wording.aliases.get(instruction.target)
        if alias is not None:
            lines.setdefault(alias, labels.get(instruction.target))
    return lines


def _partial_lines(
    module: Module, lowered: Program, partials: Iterable[Instruction]
) -> dict[Var, Line]:
    """The line whose partials need each instruction first; where passes changed it, its operand's.

    Instructions of the trace and of the program are matched by what they compute.
    """
    trace = module.trace
    inputs = {i.variable: i.path for i in trace.inputs}
    names = stable_names((*trace.primal, *trace.partials), inputs, calls_count=False)
    labels = {label.variable: label.line for label in trace.labels}
    owner: dict[str, Line] = {}
    added: dict[str, Line] = {}
    for elemental in trace.elementals:
        line = labels.get(elemental.target)
        for instruction in live_code(trace.partials, (atom for _, atom in elemental.partials)):
            owner.setdefault(names[instruction.target], line)
        for operand, atom in elemental.partials:
            # the partials of `x * x` are added up
            several = sum(other == operand for other, _ in elemental.partials) > 1
            if several and isinstance(atom, str):
                added.setdefault(names[atom], line)
    computed = stable_names(lowered.instructions, inputs)
    lines: dict[Var, Line] = {}
    for instruction in partials:
        name = computed[instruction.target]
        near = [lines[v] for v in instruction.variables if v in lines]
        near += [added[computed[v]] for v in instruction.variables if computed[v] in added]
        lines[instruction.target] = owner[name] if name in owner else next(iter(near), None)
    return lines
