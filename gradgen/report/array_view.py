"""Graphs of a module on arrays as people look at them: of the function, and of steps of loops."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from gradgen.elimination.array_graphs import END, ArrayGraph, vjp_graph, weighted_outputs
from gradgen.elimination.replay import Frame, replay_arrays
from gradgen.ir.array_module import ArrayModule
from gradgen.ir.array_plan import TIP, ArrayPlan, weight_of
from gradgen.ir.array_trace import ArrayTrace, Partial
from gradgen.ir.code import Instruction, Var
from gradgen.ir.loops import Loop, loop_of
from gradgen.ir.shapes import Sizes
from gradgen.lowering.arrays import ArrayCode
from gradgen.report.view import EdgeView, GraphView, Role, VertexView, label_of, source_lines
from gradgen.report.wording import Wording, word
from gradgen.search.arrays.portfolio import Orders
from gradgen.targets.jax.array_printing import printed
from gradgen.targets.jax.names import identifier, name_variables, unique

COTANGENTS = "cotangents"
"""What the vertex of the weighted sum of all outputs is called."""


@dataclass(frozen=True)
class EliminatedGraph:
    """A graph that was eliminated for a vector-Jacobian product, and how."""

    title: str
    """Of which loop it is a step; empty for the whole function."""
    graph: ArrayGraph
    trace: ArrayTrace
    plan: ArrayPlan
    orders: Orders
    wording: Wording
    """The trace in the words of a text."""
    loop: Loop | None = None
    line: int | None = None
    """Of the source, where the loop is."""

    @property
    def sizes(self) -> Sizes:
        """What axes count for."""
        return dict(self.trace.sizes)

    @cached_property
    def frames(self) -> tuple[Frame, ...]:
        """The graph after each elimination."""
        return replay_arrays(self.graph, self.plan.order, self.sizes, self.orders.of_steps)


def differentiations(module: ArrayModule) -> tuple[EliminatedGraph, ...]:
    """Those of a module: of the function, then of a step of each loop."""
    trace, orders = module.trace, Orders(module.recipe.by_graph, "never", (), module.objective)
    wording = word(trace, module.vjp, printed(module, "vjp").names)
    whole = EliminatedGraph("", vjp_graph(trace), trace, module.pulled.plan, orders, wording)
    return (whole, *_of_loops(whole))


def _of_loops(outer: EliminatedGraph) -> Iterator[EliminatedGraph]:
    """Those of the steps of its loops, whatever is in them behind each."""
    traces = dict(outer.trace.loops)
    loops = {i.target: i for i in outer.trace.primal if i.target in traces}
    order = [v for v in loops if v in outer.plan.of_steps]
    for number, variable in enumerate(order, start=1):
        steps, trace = outer.plan.of_steps[variable], traces[variable]
        results = {weight_of(variable, k): trace.outputs[k].atom for k in steps.weighed}
        weighed = {weight: str(atom) for weight, atom in results.items()}
        graph = weighted_outputs(trace, weighed)
        title = f"{outer.title}, loop {number}" if outer.title else f"loop {number}"
        wording = _of_a_step(trace, outer.wording, loops[variable])
        found = EliminatedGraph(
            title, graph, trace, steps.plan, outer.orders, wording,
            loop_of(loops[variable]), loops[variable].line,
        )  # fmt: skip
        yield found
        yield from _of_loops(found)


def _of_a_step(trace: ArrayTrace, outer: Wording, loop: Instruction) -> Wording:
    """A step in words: what all steps read is called as outside, where it has a name there."""
    constants = zip(loop_of(loop).constants, loop.operands, strict=False)
    known = {g.variable: outer.name(a) for g, a in constants if isinstance(a, str)}
    taken = set(known.values())
    names = dict(known)
    for given in trace.inputs:
        if given.variable not in names:
            name = identifier(trace.input_names.get(given.variable, "x"))
            names[given.variable] = unique(name, taken)
    program = ArrayCode(trace).primal()
    return word(trace, program, name_variables(program, names))


def view_arrays(found: EliminatedGraph, source: str) -> GraphView:
    """A graph in words; `source` is the text that it was made from."""
    graph, trace, wording = found.graph, found.trace, found.wording
    aliases = _aliases(trace)
    names = _names(graph, wording, aliases)
    equations = wording.equations(a for a in map(wording.aliases.get, graph.vertices) if a)
    lines = {i.target: i.line for i in trace.primal}
    text = source_lines(source)
    number = {v: k for k, v in enumerate(graph.vertices)}

    def vertex(v: Var) -> VertexView:
        line = lines.get(v)
        # what a step is given has no name but that outside, or none at all
        alias = names[v] if v == aliases.get(v) else aliases.get(v.removeprefix(TIP), COTANGENTS)
        return VertexView(
            label=label_of(alias),
            name=names[v],
            role=_role(graph, v),
            line=line,
            source="" if line is None else text[line - 1].strip(),
            equation=equations.get(wording.aliases.get(v, ""), ""),
        )

    first = found.frames[0]
    shown = {
        (s, t): (kind, axes) for (s, t, kind), axes in zip(first.edges, first.axes, strict=True)
    }
    return GraphView(
        tuple(vertex(v) for v in graph.vertices),
        tuple(
            EdgeView(
                number[source],
                number[target],
                shown[number[source], number[target]][0],
                " + ".join(
                    wording.partial([term.atom], equations)
                    if isinstance(term, Partial)
                    else "a linear map"
                    for term in terms
                ),
                shown[number[source], number[target]][1],
            )
            for source, target, terms in sorted(
                graph.edges, key=lambda edge: (number[edge[0]], number[edge[1]])
            )
        ),
    )


def _aliases(trace: ArrayTrace) -> dict[Var, str]:
    """What people call a variable: a name of the source's, or its operation in brackets."""
    operations = {i.target: f"({i.op})" for i in trace.primal}
    paths = {i.variable: i.path for i in trace.inputs}
    labels = {label.variable: label.name for label in trace.labels if label.name}
    return operations | paths | labels | trace.input_names


def _names(graph: ArrayGraph, wording: Wording, aliases: Mapping[Var, str]) -> dict[Var, str]:
    """How texts refer to vertices: an output that has a vertex of its own is `out v`."""
    found = {}
    for v in graph.vertices:
        variable = v.removeprefix(TIP)
        name = COTANGENTS if v == END else wording.name(variable)
        if name == variable and variable in aliases:
            # no text has it: the derivative can do without
            name = aliases[variable]
        found[v] = name if v == variable else f"out {name}"
    return found


def _role(graph: ArrayGraph, v: Var) -> Role:
    if v in graph.intermediates:
        return "intermediate"
    return "output" if any(v == target for target, _ in graph.ends) else "input"
