"""From a graph and its orders to the programs of a module: Jacobian, and products with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from gradgen import __version__
from gradgen.backend.lower import lower_jacobian, lower_jvp, lower_primal, lower_vjp
from gradgen.backend.rewriting.rewrite import rewrite
from gradgen.elimination.accumulate import accumulate
from gradgen.elimination.extend import weight_inputs, weight_outputs
from gradgen.ir.code import Var
from gradgen.ir.graph import LinearGraph, Order
from gradgen.ir.module import Accumulated, Derivative, Module
from gradgen.ir.plan import Plan
from gradgen.ir.program import Program
from gradgen.ir.source import Source
from gradgen.ir.trace import Trace
from gradgen.search.heuristics import forward, propose, reverse

GENERATOR = f"gradgen {__version__}"


_REWRITTEN = 2
"""How many orders' programs are rewritten, the cheapest ones."""
_LONG = 500
"""Of programs with more instructions only the cheapest is rewritten, once: that takes longest."""
_SEEDS = (0, 1)
"""Where the search for a rewriting of the Jacobian's program starts from."""


def modules_for(
    source: Source, trace: Trace, graph: LinearGraph, orders: Sequence[Order], source_name: str
) -> list[Module]:
    """A module for each order of the Jacobian's accumulation, the cheapest first.

    The first one is rewritten algebraically; the others are not, so that they are there where a
    rewritten program overflows and JAX does not.
    """
    lowered = [_accumulate(graph, order, _jacobian_lowering(trace)) for order in orders]
    baseline = {
        name: _accumulate(graph, heuristic(graph), _jacobian_lowering(trace))
        for name, heuristic in (("forward", forward), ("reverse", reverse))
    }
    ranked = sorted(lowered, key=lambda a: a.cost)
    fallbacks = [a for a in baseline.values() if all(a.plan != r.plan for r in ranked)]
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
            jacobian=Derivative(chosen, baseline["forward"], baseline["reverse"]),
            vjp=vjp,
            jvp=jvp,
            cotangents=cotangents,
            tangents=tangents,
            rewritten=rewritten,
            generator=GENERATOR,
            source_name=source_name,
        )

    floats = [i.variable for i in trace.inputs if i.dtype == "float"]
    promising = _promising(ranked, min(a.plan.muls for a in baseline.values()))
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


def _promising(ranked: Sequence[Accumulated], most: int) -> list[Accumulated]:
    """The orders with the fewest operations of those that need at most so many multiplications."""
    allowed = [a for a in ranked if a.plan.muls <= most] or [ranked[0]]
    distinct = {a.plan.steps: a for a in reversed(allowed)}
    return sorted(distinct.values(), key=lambda a: a.operations.total)[:_REWRITTEN]


def _rewritten(found: Accumulated, floats: Sequence[Var], seed: int = 0) -> Accumulated:
    return replace(found, program=rewrite(found.program, floats, seed))


def _jacobian_lowering(trace: Trace) -> Callable[[Plan], Program]:
    return lambda plan: lower_jacobian(trace, plan)


def _accumulate(
    graph: LinearGraph, order: Order, lowering: Callable[[Plan], Program]
) -> Accumulated:
    plan = accumulate(graph, order)
    plan.check()
    return Accumulated(order, plan, lowering(plan))


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


def _cheapest(graph: LinearGraph, lowering: Callable[[Plan], Program], sweep: str) -> Derivative:
    found = [_accumulate(graph, order, lowering) for order in propose(graph)]
    by_name = {a.order.found_by: a for a in found}
    limit = by_name[sweep]
    allowed = [
        a
        for a in found
        if a.plan.muls <= limit.plan.muls and a.operations.total <= limit.operations.total
    ]
    chosen = min(allowed, key=lambda a: (a.operations.total, a.plan.muls))
    return Derivative(chosen, by_name["forward"], by_name["reverse"])
