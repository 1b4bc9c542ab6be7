"""From a graph and its orders to the programs of a module: Jacobian, and products with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache

from gradgen import __version__
from gradgen.backend.lower import lower_jacobian, lower_jvp, lower_primal, lower_vjp
from gradgen.backend.rewriting.rewrite import rewrite
from gradgen.elimination.accumulate import accumulate
from gradgen.elimination.cost import plan_costs
from gradgen.elimination.extend import weight_inputs, weight_outputs
from gradgen.ir.code import Var
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.module import Accumulated, Derivative, Module
from gradgen.ir.plan import Objective, Plan
from gradgen.ir.program import Program
from gradgen.ir.source import Source
from gradgen.ir.trace import Trace
from gradgen.refine import Cost, refine
from gradgen.search.heuristics import forward, propose, reverse

GENERATOR = f"gradgen {__version__}"

Lowering = Callable[[Plan], Program]
Accumulating = Callable[[Order], Accumulated]

_REWRITTEN = 2
"""How many orders' programs are rewritten at most."""
_LONG = 500
"""Of programs with more instructions only the cheapest is rewritten, once: that takes longest."""
_SEEDS = (0, 1)
"""Where the search for a rewriting of the Jacobian's program starts from."""
_EVALUATIONS = 200
"""Programs that are lowered in the search for a cheaper order of about the same kind."""
_EVALUATED = 10_000
"""Instructions that these have together, about."""


def modules_for(
    source: Source,
    trace: Trace,
    graph: LinearGraph,
    orders: Sequence[Order],
    source_name: str,
    objective: Objective = "muls",
) -> list[Module]:
    """A module for each order of the Jacobian's accumulation, the cheapest by the objective first.

    Of orders that cost the same, those with the fewest operations count. The first module is
    rewritten algebraically; the others are not, so that they are there where a rewritten program
    overflows and JAX does not.
    """
    accumulated = _accumulating(graph, lambda plan: lower_jacobian(trace, plan))
    sweeps = accumulated(forward(graph)), accumulated(reverse(graph))
    ranked = _ranked(orders, accumulated, objective)
    fallbacks = [a for a in sweeps if all(a.plan != r.plan for r in ranked)]
    cotangents, vjp = _vjp(trace, graph)
    tangents, jvp = _jvp(trace, graph)

    def module(
        chosen: Accumulated, vjp: Derivative, jvp: Derivative, rewritten: bool = False
    ) -> Module:
        return Module(
            source=source,
            trace=trace,
            graph=graph,
            primal=lower_primal(trace),
            jacobian=Derivative(chosen, *sweeps),
            vjp=vjp,
            jvp=jvp,
            cotangents=cotangents,
            tangents=tangents,
            rewritten=rewritten,
            generator=GENERATOR,
            source_name=source_name,
        )

    floats = [i.variable for i in trace.inputs if i.dtype == "float"]
    promising = _promising(ranked, objective)
    starts = [(a, seed) for a in promising for seed in _SEEDS]
    if len(promising[0].program.instructions) > _LONG:
        del starts[1:]
    found = [_rewritten(a, floats, seed) for a, seed in starts]
    pulled, pushed = (
        replace(d, chosen=_rewritten(d.chosen, [*floats, *more]))
        for d, more in ((vjp, [v for _, v in cotangents]), (jvp, [v for _, v in tangents]))
    )
    cheapest = min(found, key=lambda a: a.operations.total)
    return [
        module(cheapest, pulled, pushed, rewritten=True),
        *(module(chosen, vjp, jvp) for chosen in (*ranked, *fallbacks)),
    ]


def _ranked(
    orders: Sequence[Order], accumulated: Accumulating, objective: Objective
) -> list[Accumulated]:
    """The orders and the best neighbour of the best one, each plan once, the cheapest first."""

    def cost(order: Order) -> Cost:
        return _cost(accumulated(order), objective)

    first = min(orders, key=cost)
    evaluations = _evaluations(accumulated(first).program) if len(orders) > 1 else 1
    refined = refine([first], cost, evaluations)
    counts = [_searched(accumulated(order), objective) for order in (first, refined)]
    if first.proved_optimal and counts[0] == counts[1]:
        refined = replace(refined, proved_optimal=True)
    every = [accumulated(order) for order in (*reversed(orders), refined)]
    distinct = {found.plan.steps: found for found in every}
    return sorted(distinct.values(), key=lambda found: _cost(found, objective))


def _promising(ranked: Sequence[Accumulated], objective: Objective) -> list[Accumulated]:
    """The orders whose programs are worth rewriting: the cheapest, or one of each sort for `ops`.

    Few multiplications are often few operations in the end, though not before rewriting.
    """
    if objective == "ops":
        fewest = min(ranked, key=lambda a: _cost(a, "muls"))
        return [ranked[0]] if fewest is ranked[0] else [ranked[0], fewest]
    least = _cost(ranked[0], objective)[0]
    return [a for a in ranked if _cost(a, objective)[0] == least][:_REWRITTEN]


def _evaluations(program: Program) -> int:
    return min(_EVALUATIONS, _EVALUATED // (len(program.instructions) + 1))


def _cost(found: Accumulated, objective: Objective) -> Cost:
    """What is to be small, and what breaks ties."""
    total, muls = found.operations.total, found.plan.muls
    return (total, muls) if objective == "ops" else (_searched(found, objective), total)


def _searched(found: Accumulated, objective: Objective) -> int:
    """The count that the search for the order made small."""
    return plan_costs(found.plan).ranked("muls" if objective == "ops" else objective)[0]


def _rewritten(found: Accumulated, floats: Sequence[Var], seed: int = 0) -> Accumulated:
    return replace(found, program=rewrite(found.program, floats, seed))


def _accumulating(graph: LinearGraph, lowering: Lowering) -> Accumulating:
    """Accumulates a graph in an order and lowers the plan, each order once."""

    @cache
    def accumulated(order: Order) -> Accumulated:
        plan = accumulate(graph, order)
        plan.check()
        return Accumulated(order, plan, lowering(plan))

    return accumulated


def _vjp(trace: Trace, graph: LinearGraph) -> tuple[tuple[tuple[str, str], ...], Derivative]:
    """The cheapest program for cotangents; it never costs more than the reverse sweep."""
    names = [graph.vertices[v].name for v in graph.dependents]
    variables = {name: f"ct{k}" for k, name in enumerate(names)}
    extended = weight_outputs(graph, variables)
    paths = tuple((name.removeprefix("out:"), variables[name]) for name in names)
    lowering = lambda plan: lower_vjp(trace, plan, list(variables.values()))  # noqa: E731
    return paths, _cheapest(extended, lowering, "reverse")


def _jvp(trace: Trace, graph: LinearGraph) -> tuple[tuple[tuple[str, str], ...], Derivative]:
    """The cheapest program for tangents; it never costs more than the forward sweep."""
    names = [graph.vertices[v].name for v in graph.independents]
    variables = {name: f"tan{k}" for k, name in enumerate(names)}
    extended = weight_inputs(graph, variables)
    lowering = lambda plan: lower_jvp(trace, plan, list(variables.values()))  # noqa: E731
    return tuple(variables.items()), _cheapest(extended, lowering, "forward")


def _cheapest(graph: LinearGraph, lowering: Lowering, sweep: str) -> Derivative:
    """The order with the fewest operations of those that take no more multiplications."""
    accumulated = _accumulating(graph, lowering)
    sweeps = {"forward": accumulated(forward(graph)), "reverse": accumulated(reverse(graph))}
    limit = sweeps[sweep]

    def cost(order: Order) -> Cost:
        found = accumulated(order)
        excess = limit.operations.total if found.plan.muls > limit.plan.muls else 0
        return found.operations.total + excess, found.plan.muls

    best = refine(propose(graph), cost, _evaluations(limit.program))
    return Derivative(accumulated(best), **sweeps)
