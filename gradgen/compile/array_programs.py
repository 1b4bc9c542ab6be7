"""From a trace on arrays to the programs of a module: plans, accumulation, passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_jacobian import jacobian_of
from gradgen.compile.array_refusals import require_forward
from gradgen.compile.array_traces import online_traces
from gradgen.compile.ordering import of_another_graph, order_of_arrays
from gradgen.compile.programs import GENERATOR
from gradgen.compile.through_time import choose_taking
from gradgen.elimination.array_graphs import (
    ArrayGraph,
    cotangents_of,
    goes_forward,
    weighted_inputs,
    weighted_outputs,
)
from gradgen.frontend.reading.local_imports import digests_of_imports
from gradgen.ir.array_counts import count_arrays
from gradgen.ir.array_module import ArrayModule, ArraySecondOrder, Work
from gradgen.ir.array_plan import ArrayPlan
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import Var
from gradgen.ir.emitted import HVP
from gradgen.ir.loops import Given
from gradgen.ir.program import Program
from gradgen.ir.recipe import ArrayRecipe, Searched
from gradgen.ir.source import Source
from gradgen.lowering.array_residuals import split_arrays
from gradgen.lowering.arrays import ArrayCode
from gradgen.lowering.blocks import in_blocks
from gradgen.lowering.passes import unrolled
from gradgen.search.arrays.portfolio import Orders, recipe_of, sweep

_ONE = "ct"
"""The cotangent of a single number, which is one."""
_Vectors = Mapping[Var, Var]
"""Cotangents, or tangents: by each, whose it is."""


def array_module(
    front: ArrayFront, recorded: ArrayRecipe | None = None, searched: Searched = "missing"
) -> ArrayModule:
    """The programs of a source on arrays, with the orders that are recorded, and others found.

    Raises OrderMismatchError if something is not recorded, and nothing may be searched for.
    """
    trace, settings = front.trace, front.settings
    given = order_of_arrays(settings)
    orders = Orders({} if recorded is None else recorded.by_graph, searched, given)
    cotangents = cotangents_of(trace)
    varying = (o.path for o in trace.float_outputs if isinstance(o.atom, str))
    weighed = tuple(zip(varying, cotangents, strict=True))
    tangents = {f"tan{k}": i.variable for k, i in enumerate(trace.inputs) if i.wrt}
    outputs = weighted_outputs(trace, cotangents)
    pulled, vjp = _cheapest(trace, outputs, cotangents, ArrayCode.vjp, orders)
    pushed_graph = weighted_inputs(trace, tangents)
    pushed, jvp = None, None
    if goes_forward(pushed_graph):
        pushed, jvp = _cheapest(trace, pushed_graph, tangents, ArrayCode.jvp, orders)
    gradient = _gradient(trace, orders) if trace.is_loss else None
    second = None
    if front.gradient is not None:
        second = _second(front.source, front.gradient, tangents, orders)
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
    if given is not None and all(given.steps != order.steps for _, order in recipe.orders):
        raise of_another_graph(
            settings.order or "", "it names other vertices, or cannot be carried out"
        )
    # a loop that has run is not run again for what it keeps
    whole = ArrayCode(trace).step(pulled.plan, cotangents) if trace.loops else vjp
    leaves = [
        Given(i.variable, s, i.dtype) for i, s in zip(trace.inputs, trace.shapes, strict=True)
    ]
    vectors = {**cotangents, **tangents, _ONE: str(trace.outputs[0].atom)}
    known = trace.shapes_by_variable
    leaves += [Given(v, known[of], "float") for v, of in vectors.items() if of in known]
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
        passes=split_arrays(whole, trace, {v: path for path, v in weighed}, settings.residuals),
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
        memory=chosen.bytes if trace.loops else None,
        factor=chosen.factor,
        traces=traces,
        second=None if second is None else replace(second, program=taken(second.program)),
    )


def _gradient(trace: ArrayTrace, orders: Orders) -> tuple[Work, Program] | None:
    """Value and gradient of the first output; none where that does not vary."""
    first = trace.outputs[0].atom
    if not isinstance(first, str):
        return None
    weighed = {_ONE: first}
    graph = weighted_outputs(trace, weighed)
    return _cheapest(trace, graph, weighed, ArrayCode.gradient, orders)


def _second(
    source: Source, gradient: ArrayTrace, tangents: _Vectors, orders: Orders
) -> ArraySecondOrder:
    """The tangents of a gradient."""
    require_forward(gradient, source)
    graph = weighted_inputs(gradient, tangents)
    pushed, program = _cheapest(gradient, graph, tangents, ArrayCode.hvp, orders)
    return ArraySecondOrder(gradient, pushed, program)


def _cheapest(
    trace: ArrayTrace,
    graph: ArrayGraph,
    vectors: _Vectors,
    lowered: Callable[[ArrayCode, ArrayPlan, _Vectors], Program],
    orders: Orders,
) -> tuple[Work, Program]:
    """Of the plans of a vector product, that whose program has the fewest operations.

    What is recorded, or else the plain mode, is kept unless another one has fewer: the plain
    mode's code is what people write.
    """
    sizes = dict(trace.sizes)
    given = trace.shapes_by_variable
    given = given | {vector: given[variable] for vector, variable in vectors.items()}

    def operations(made: tuple[ArrayPlan, Program]) -> int:
        return count_arrays(made[1], given, sizes).total

    plans = orders.candidates(graph, sizes)
    plan, program = min(
        ((plan, lowered(ArrayCode(trace), plan, vectors)) for plan in plans), key=operations
    )
    return Work(plan, sweep(graph, sizes)), program
