"""From a trace on arrays to the programs of a module: plans, accumulation, passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_jacobian import jacobian_of
from gradgen.compile.array_traces import online_traces
from gradgen.compile.programs import GENERATOR
from gradgen.elimination.array_graphs import (
    ArrayGraph,
    goes_forward,
    weighted_inputs,
    weighted_outputs,
)
from gradgen.frontend.reading.local_imports import digests_of_imports
from gradgen.ir.array_counts import count_arrays
from gradgen.ir.array_module import ArrayModule, Work
from gradgen.ir.array_plan import ArrayPlan
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import Var
from gradgen.ir.program import Program
from gradgen.lowering.array_residuals import split_arrays
from gradgen.lowering.arrays import ArrayCode
from gradgen.search.arrays.portfolio import candidates, sweep

_Vectors = Mapping[Var, Var]
"""Cotangents, or tangents: by each, whose it is."""


def array_module(front: ArrayFront) -> ArrayModule:
    """The programs of a source on arrays."""
    trace, settings = front.trace, front.settings
    cotangents: dict[str, str] = {}
    weighed = []
    for output in trace.float_outputs:
        if isinstance(output.atom, str):
            weight = f"ct{len(cotangents)}"
            cotangents[weight] = output.atom
            weighed.append((output.path, weight))
    tangents = {f"tan{k}": i.variable for k, i in enumerate(trace.inputs) if i.wrt}
    pulled, vjp = _cheapest(trace, weighted_outputs(trace, cotangents), cotangents, ArrayCode.vjp)
    pushed_graph = weighted_inputs(trace, tangents)
    pushed, jvp = None, None
    if goes_forward(pushed_graph):
        pushed, jvp = _cheapest(trace, pushed_graph, tangents, ArrayCode.jvp)
    # a loop that has run is not run again for what it keeps
    whole = ArrayCode(trace).step(pulled.plan, cotangents) if trace.loops else vjp
    return ArrayModule(
        source=front.source,
        trace=trace,
        primal=ArrayCode(trace).primal(),
        vjp=vjp,
        jvp=jvp,
        gradient=_gradient(trace) if trace.is_loss else None,
        passes=split_arrays(whole, trace, {v: path for path, v in weighed}, settings.residuals),
        pulled=pulled,
        pushed=pushed,
        cotangents=tuple(weighed),
        tangents=tuple(zip((i.path for i in trace.inputs if i.wrt), tangents, strict=True)),
        emit=settings.emit,
        generator=GENERATOR,
        source_name=settings.shown(front.source.path),
        options=settings.options(),
        imports=digests_of_imports(settings.path, settings.example),
        jacobian=jacobian_of(trace, front.source, settings),
        traces=online_traces(trace, front.source, settings, cotangents),
    )


def _gradient(trace: ArrayTrace) -> Program | None:
    """Value and gradient of the first output; none where that does not vary."""
    first = trace.outputs[0].atom
    if not isinstance(first, str):
        return None
    weighed = {"ct": first}
    return _cheapest(trace, weighted_outputs(trace, weighed), weighed, ArrayCode.gradient)[1]


def _cheapest(
    trace: ArrayTrace,
    graph: ArrayGraph,
    vectors: _Vectors,
    lowered: Callable[[ArrayCode, ArrayPlan, _Vectors], Program],
) -> tuple[Work, Program]:
    """Of the plans of a vector product, that whose program has the fewest operations.

    The plain mode is kept unless another one has fewer: its code is what people write.
    """
    sizes = dict(trace.sizes)
    given = trace.shapes_by_variable
    given = given | {vector: given[variable] for vector, variable in vectors.items()}

    def operations(made: tuple[ArrayPlan, Program]) -> int:
        return count_arrays(made[1], given, sizes).total

    plans = candidates(graph, sizes)
    plan, program = min(
        ((plan, lowered(ArrayCode(trace), plan, vectors)) for plan in plans), key=operations
    )
    return Work(plan, sweep(graph, sizes)), program
