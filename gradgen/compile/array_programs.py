"""From a trace on arrays to the programs of a module: plans, accumulation, passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from operator import itemgetter
from sys import maxsize

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_jacobian import jacobian_of
from gradgen.compile.array_refusals import require_forward
from gradgen.compile.array_traces import online_traces
from gradgen.compile.ordering import of_another_graph, orders_of_arrays
from gradgen.compile.programs import GENERATOR
from gradgen.compile.refine import Cost, refine
from gradgen.compile.through_time import choose_taking
from gradgen.compile.vector_products import evaluations
from gradgen.config import Settings
from gradgen.elimination.array_graphs import (
    ArrayGraph,
    cotangents_of,
    goes_forward,
    weighted_inputs,
    weighted_outputs,
)
from gradgen.elimination.arrays import planned
from gradgen.frontend.reading.local_imports import digests_of_imports
from gradgen.ir.array_counts import price_of_arrays
from gradgen.ir.array_module import ArrayModule, ArrayPrice, ArraySecondOrder, Work
from gradgen.ir.array_plan import ArrayPlan
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import Var
from gradgen.ir.emitted import HVP
from gradgen.ir.graph import Order
from gradgen.ir.loops import StepValue
from gradgen.ir.objective import Objective
from gradgen.ir.program import Program
from gradgen.ir.recipe import ArrayRecipe, Searched
from gradgen.ir.shapes import Shape
from gradgen.ir.source import Source
from gradgen.lowering.array_residuals import split_arrays
from gradgen.lowering.arrays import ArrayCode
from gradgen.lowering.blocks import in_blocks
from gradgen.lowering.passes import unrolled
from gradgen.search.arrays.portfolio import Orders, eliminations_of, priced, recipe_of, sweep

_ONE = "ct"
"""The cotangent of a single number, which is one."""
_Vectors = Mapping[Var, Var]
"""Cotangents, or tangents: by each, whose it is."""


_Made = tuple[Cost, ArrayPlan, Program]
"""A plan and its program, and what they cost."""


@dataclass(frozen=True)
class _Search:
    """Where orders come from, and what their programs are compared by."""

    orders: Orders
    objective: Objective


def array_module(
    front: ArrayFront, recorded: ArrayRecipe | None = None, searched: Searched = "missing"
) -> ArrayModule:
    """The programs of a source on arrays, with the orders that are recorded, and others found.

    Raises OrderMismatchError if something is not recorded, and nothing may be searched for.
    """
    trace, settings = front.trace, front.settings
    given = orders_of_arrays(settings)
    objective = settings.objective
    recorded_orders = {} if recorded is None else recorded.by_graph
    orders = Orders(recorded_orders, searched, given, objective.searched_on_arrays)
    search = _Search(orders, objective)
    cotangents = cotangents_of(trace)
    varying = (o.path for o in trace.float_outputs if isinstance(o.atom, str))
    weighed = tuple(zip(varying, cotangents, strict=True))
    tangents = {f"tan{k}": i.variable for k, i in enumerate(trace.inputs) if i.wrt}
    outputs = weighted_outputs(trace, cotangents)
    pulled, vjp = _cheapest(trace, outputs, cotangents, ArrayCode.vjp, search)
    pushed_graph = weighted_inputs(trace, tangents)
    pushed, jvp = None, None
    if goes_forward(pushed_graph):
        pushed, jvp = _cheapest(trace, pushed_graph, tangents, ArrayCode.jvp, search)
    gradient = _gradient(trace, search) if trace.is_loss else None
    second = None
    if front.gradient is not None:
        second = _second(front.source, front.gradient, tangents, search)
    jacobian = jacobian_of(trace, front.source, settings, orders)
    traces = online_traces(trace, front.source, settings, cotangents, orders)
    plans = {"vjp": pulled.plan}
    if pushed is not None:
        plans["jvp"] = pushed.plan
    if gradient is not None:
        plans["gradient"] = gradient[0].plan
    if second is not None:
        plans[HVP] = second.pushed.plan
    if jacobian is not None:
        plans["value_and_jacobian"] = jacobian.plan
    if traces is not None:
        plans |= traces.plans.by_name
    recipe = recipe_of(plans)
    if given and {g.steps for g in given}.isdisjoint(order.steps for _, order in recipe.orders):
        raise of_another_graph(
            settings.order or "", "it names other vertices, or cannot be carried out"
        )
    kept_of = partial(
        split_arrays,
        trace=trace,
        weighed={v: path for path, v in weighed},
        residuals=settings.residuals,
    )
    # what the forward pass computes is computed once, with the outputs: XLA does not join loops,
    # nor products with what JAX has taken out of the user's loop
    once = trace.loops or kept_of(vjp).forward.instructions
    whole = ArrayCode(trace).step(pulled.plan, cotangents) if once else vjp
    leaves = [
        StepValue(i.variable, s, i.dtype) for i, s in zip(trace.inputs, trace.shapes, strict=True)
    ]
    vectors = {**cotangents, **tangents, _ONE: str(trace.outputs[0].atom)}
    known = trace.shapes_by_variable
    leaves += [StepValue(v, known[of], "float") for v, of in vectors.items() if of in known]
    chosen = choose_taking(settings, front.source, trace, whole, leaves, list(cotangents))
    times = 1 if settings.unroll == "auto" else int(settings.unroll)

    def taken(program: Program) -> Program:
        made = in_blocks(program, leaves, chosen.taking, dict(trace.sizes))
        return unrolled(made, times)

    whole = unrolled(chosen.program, times)
    return ArrayModule(
        source=front.source,
        trace=trace,
        primal=taken(ArrayCode(trace).primal()),
        vjp=taken(vjp),
        jvp=None if jvp is None else taken(jvp),
        gradient=None if gradient is None else taken(gradient[1]),
        passes=kept_of(whole),
        pulled=pulled,
        pushed=pushed,
        cotangents=weighed,
        tangents=tuple(zip((i.path for i in trace.inputs if i.wrt), tangents, strict=True)),
        emit=settings.emit,
        generator=GENERATOR,
        source_name=settings.shown(front.source.path),
        options=settings.options(),
        imports=digests_of_imports(settings.path, settings.example),
        jacobian=jacobian,
        recipe=recipe,
        objective=objective.searched_on_arrays,
        takes=chosen.memory if trace.loops else None,
        factor=chosen.factor,
        traces=traces,
        second=None if second is None else replace(second, program=taken(second.program)),
        price=None if objective.count != "price" else _price(settings, trace, pulled, vjp),
    )


def _price(settings: Settings, trace: ArrayTrace, pulled: Work, vjp: Program) -> ArrayPrice:
    """What value and vector product cost in the order that was found, and in reverse mode."""
    prices = settings.objective.prices
    cotangents = cotangents_of(trace)
    given, sizes = _shapes(trace, cotangents), dict(trace.sizes)
    programs = vjp, ArrayCode(trace).vjp(pulled.sweep, cotangents)
    costs = (price_of_arrays(program, given, sizes, prices) for program in programs)
    return ArrayPrice(prices, str(dict(settings.options())["prices"]), *costs)


def _shapes(trace: ArrayTrace, vectors: _Vectors) -> dict[Var, Shape]:
    """The shapes of what the program of a vector product is given."""
    known = trace.shapes_by_variable
    return {**known, **{vector: known[variable] for vector, variable in vectors.items()}}


def _gradient(trace: ArrayTrace, search: _Search) -> tuple[Work, Program] | None:
    """Value and gradient of the first output; none where that does not vary."""
    first = trace.outputs[0].atom
    if not isinstance(first, str):
        return None
    weighed = {_ONE: first}
    graph = weighted_outputs(trace, weighed)
    return _cheapest(trace, graph, weighed, ArrayCode.gradient, search)


def _second(
    source: Source, gradient: ArrayTrace, tangents: _Vectors, search: _Search
) -> ArraySecondOrder:
    """The tangents of a gradient."""
    require_forward(gradient, source)
    graph = weighted_inputs(gradient, tangents)
    pushed, program = _cheapest(gradient, graph, tangents, ArrayCode.hvp, search)
    return ArraySecondOrder(gradient, pushed, program)


def _cheapest(
    trace: ArrayTrace,
    graph: ArrayGraph,
    vectors: _Vectors,
    lowered: Callable[[ArrayCode, ArrayPlan, _Vectors], Program],
    search: _Search,
) -> tuple[Work, Program]:
    """Of the plans of a vector product, the one that is cheapest: whose program has the fewest
    operations, or costs least, unless something else is to be small.

    What is recorded, or else the plain mode, is kept unless another one is cheaper: the plain
    mode's code is what people write.
    """
    orders, sizes = search.orders, dict(trace.sizes)
    given = _shapes(trace, vectors)

    def made(plan: ArrayPlan) -> _Made:
        program = lowered(ArrayCode(trace), plan, vectors)
        price = price_of_arrays(program, given, sizes, search.objective.prices)
        first = price if orders.objective == "muls" else orders.price(plan)[0]
        return (first, price), plan, program

    plans = [*orders.candidates(graph, sizes)]
    looking = search.objective.of_program and not graph.loops and orders.may_search(graph, sizes)
    if looking:
        # few operations are not always where multiplications are fewest
        others = (Orders(objective=other) for other in ("peak", "locality"))
        found = [plan for one in others for plan in one.candidates(graph, sizes)]
        plans += [replace(p, order=replace(p.order, proved_optimal=False)) for p in found]
    best = min(map(made, plans), key=itemgetter(0))
    if looking:
        best = _refined(graph, best, made)
    _, plan, program = best
    return Work(plan, sweep(graph, sizes)), program


def _refined(graph: ArrayGraph, best: _Made, made: Callable[[ArrayPlan], _Made]) -> _Made:
    """The cheapest program of the orders near one, which has the plan and program of its own."""
    eliminations = eliminations_of(graph, graph.sizes)
    known = {best[1].order: best}

    def cost(order: Order) -> Cost:
        if order not in known:
            if priced(eliminations, graph, order) is None:
                return maxsize, 0
            known[order] = made(planned(graph, order, graph.sizes))
        return known[order][0]

    return known[refine([best[1].order], cost, evaluations(best[2]))]
