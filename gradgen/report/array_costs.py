"""What a module on arrays costs: by source line, by part, by order, and what it keeps."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from gradgen.elimination.array_graphs import cotangents_of
from gradgen.elimination.arrays import forward, planned, reverse
from gradgen.elimination.replay import replay_arrays
from gradgen.ir.amounts import Amount
from gradgen.ir.array_counts import amounts, operations, price_of_arrays
from gradgen.ir.array_module import ArrayModule
from gradgen.ir.array_plan import ArrayPlan
from gradgen.ir.code import Atom, Instruction
from gradgen.ir.graph import Order
from gradgen.ir.loops import ITEM, LOOP, loop_of
from gradgen.ir.operations import OperationKind
from gradgen.ir.program import FREE, PARTIALS, PRIMAL, Program
from gradgen.ir.shapes import shape_as_stated
from gradgen.lowering.arrays import ArrayCode
from gradgen.report.array_view import EliminatedGraph
from gradgen.report.costs import Line, LineCost, VertexCost
from gradgen.report.model_report import ComparedCount, KeptValue, ProgramPart
from gradgen.report.replayed import over
from gradgen.report.wording import nested_lines
from gradgen.search.arrays.markowitz import markowitz
from gradgen.search.arrays.portfolio import eliminations_of, priced
from gradgen.targets.jax.array_printing import printed
from gradgen.targets.jax.arrays import counted

_SUMS = ("add", "sub")


def array_line_costs(module: ArrayModule) -> tuple[LineCost, ...]:
    """The costs by line, those of no line last; together they are all of the vjp's operations."""
    sizes = dict(module.trace.sizes)
    titles = {i.target: s.title for s in module.vjp.sections for i in s.instructions}
    costs: dict[Line, dict[str, Amount]] = defaultdict(lambda: defaultdict(Amount))
    for outer, instruction, kind, number in _counted(module):
        column = {PRIMAL: "step", PARTIALS: "partials"}.get(titles[outer.target])
        column = column or ("adds" if kind in _SUMS else "muls")
        costs[instruction.line][column] += number
    return tuple(
        LineCost(
            line=line,
            step=costs[line]["step"].at(sizes),
            partials=costs[line]["partials"].at(sizes),
            muls=costs[line]["muls"].at(sizes),
            adds=costs[line]["adds"].at(sizes),
            formula=str(sum(costs[line].values(), Amount())),
        )
        for line in sorted(costs, key=lambda line: (line is None, line))
    )


def parts_of(module: ArrayModule, text: str) -> tuple[ProgramPart, ...]:
    """The runs of the vjp between its loops, and these, in the order in which they run."""
    loops = [i for i in module.vjp.instructions if i.op == LOOP]
    if not loops:
        return ()
    sizes = dict(module.trace.sizes)
    found = [Amount() for _ in range(2 * len(loops) + 1)]
    place, now = {}, 0
    for instruction in module.vjp.instructions:
        now += now % 2  # what follows a loop
        now += instruction.op == LOOP
        place[instruction.target] = now
    for outer, _, _, number in _counted(module):
        found[place[outer.target]] += number
    begins = _begins(module, text, place)
    return tuple(
        ProgramPart(_title(k, loops), amount.at(sizes), str(amount), begins.get(k))
        for k, amount in enumerate(found)
        if k % 2 or amount.terms
    )


def _title(number: int, loops: list[Instruction]) -> str:
    if number % 2:
        loop = loop_of(loops[number // 2])
        way = "from the last" if loop.reverse else "from the first"
        return f"all of {loop.length} steps, {way} on"
    if number == 0:
        return "once, before the loop"
    return "once, after the loop" if number == 2 * len(loops) else "once, between loops"


def _begins(module: ArrayModule, text: str, place: dict[str, int]) -> dict[int, int]:
    """The first line of each part in the text, where that has the program."""
    shown = printed(module, "vjp")
    if f"def {shown.function}(" not in text:
        return {}
    lines = nested_lines(text, shown.function)
    outer = {s.variable: s.name for s in shown.statements if not s.scope}
    found: dict[int, int] = {}
    for variable, part in place.items():
        line = lines.get((outer[variable],)) if variable in outer else None
        if line is not None:
            found.setdefault(part, line)
    steps = sorted(line for (*scope, name), line in lines.items() if (len(scope), name) == (1, ""))
    return found | {2 * k + 1: line for k, line in enumerate(steps)}


def kept_by(module: ArrayModule) -> tuple[KeptValue, ...]:
    """What goes from the forward pass to the backward pass, what takes most first."""
    passes, names = module.passes, printed(module, "residuals").names
    code = module.programs["residuals"].instructions
    found = [
        KeptValue(names[v], shape_as_stated(module.shapes[v]), size, _line_of(v, code))
        for v, size in zip(passes.kept, passes.sizes, strict=True)
    ]
    return tuple(sorted(found, key=lambda kept: -kept.bytes))


def _line_of(atom: Atom, code: Sequence[Instruction]) -> int | None:
    """The line of the source that computes a value, in a step of a loop if it comes of one."""
    by_target = {i.target: i for i in code}
    instruction = by_target.get(atom) if isinstance(atom, str) else None
    if instruction is None or instruction.op != ITEM:
        return None if instruction is None else instruction.line
    loop = loop_of(by_target[instruction.variables[0]])
    line = _line_of(loop.results[instruction.attribute("index")], loop.code)
    return instruction.line if line is None else line


def compared(module: ArrayModule, found: EliminatedGraph) -> tuple[ComparedCount, ...]:
    """The order of a graph beside forward, reverse and the better Markowitz order.

    Operations are those of the whole function's program, and are told of its graph alone.
    """
    plans = {name: _plan(found, orders) for name, orders in _orders(found).items()}

    def count(name: str, of: Callable[[ArrayPlan], float], unit: str = "") -> ComparedCount:
        best = of(found.plan)
        others = {k: None if plan is None else of(plan) for k, plan in plans.items()}
        reverse = others["reverse"]
        assert reverse is not None
        return ComparedCount(name, others["forward"], reverse, others["markowitz"], best, unit)

    objective = module.objective
    counts = [count("muls", lambda plan: plan.muls)]
    if objective != "muls":
        counts.append(count(objective, lambda plan: plan.count(objective)))
    if found.loop is not None:
        return tuple(counts)
    cotangents = cotangents_of(found.trace)

    def program(plan: ArrayPlan) -> Program:
        return ArrayCode(found.trace).vjp(plan, cotangents)

    counts.append(count("ops", lambda plan: counted(module, program(plan)).total))
    if (price := module.price) is None:
        return tuple(counts)
    sizes, prices = dict(module.trace.sizes), price.prices
    costs = count(
        "price",
        lambda plan: prices.in_units(price_of_arrays(program(plan), module.shapes, sizes, prices)),
        prices.unit,
    )
    return *counts, costs


def array_vertex_costs(found: EliminatedGraph) -> tuple[VertexCost, ...]:
    """The costs of every intermediate of a graph, in topological order."""
    graph = found.graph
    number = {v: k for k, v in enumerate(graph.vertices)}
    theirs = _by_vertex(found, reverse(graph))
    ours = _by_vertex(found, found.plan.order)
    products = {
        v: over(number[v], frame)
        for v, frame in zip(graph.steps(found.plan.order), found.frames, strict=False)
    }
    return tuple(
        VertexCost(number[v], tuple(products[v]), ours[v], theirs[v]) for v in graph.intermediates
    )


def _by_vertex(found: EliminatedGraph, order: Order) -> dict[str, int]:
    frames = replay_arrays(found.graph, order, found.sizes, found.orders.of_steps)
    total = [frame.muls for frame in frames]
    return {v: total[k + 1] - total[k] for k, v in enumerate(found.graph.steps(order))}


def _orders(found: EliminatedGraph) -> dict[str, list[Order]]:
    """Orders to compare with, by what charts call them."""
    graph = found.graph
    if graph.loops:
        # whatever follows a loop comes before it
        return {"forward": [], "reverse": [reverse(graph)], "markowitz": []}
    eliminations = eliminations_of(graph, found.sizes)
    greedy = (markowitz(eliminations, tie) for tie in (lambda v: v, lambda v: -v))
    return {
        "forward": [forward(graph)],
        "reverse": [reverse(graph)],
        "markowitz": [
            graph.order((graph.vertices[v] for v in order.steps), "markowitz")
            for order in greedy
            if order is not None
        ],
    }


def _plan(found: EliminatedGraph, orders: Iterable[Order]) -> ArrayPlan | None:
    """The plan with the fewest multiplications; None where no order is possible."""
    graph, sizes = found.graph, found.sizes
    if not graph.loops:
        eliminations = eliminations_of(graph, sizes)
        orders = [order for order in orders if priced(eliminations, graph, order) is not None]
    plans = [planned(graph, order, sizes, found.orders.of_steps) for order in orders]
    return min(plans, key=lambda plan: plan.muls, default=None)


def _counted(
    module: ArrayModule,
) -> Iterator[tuple[Instruction, Instruction, OperationKind, Amount]]:
    """What the vjp takes, of the kinds that count."""
    for outer, instruction, kind, number in amounts(
        module.vjp.instructions, module.shapes, operations
    ):
        if kind not in FREE:
            yield outer, instruction, kind, number
