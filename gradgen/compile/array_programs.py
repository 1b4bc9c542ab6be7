"""From a trace on arrays to the programs of a module: plans, accumulation, passes."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.array_jacobian import jacobian_of
from gradgen.compile.programs import GENERATOR
from gradgen.compile.through_time import choose_taking
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
from gradgen.ir.loops import Given
from gradgen.ir.program import Program
from gradgen.lowering.array_residuals import split_arrays
from gradgen.lowering.arrays import ArrayCode
from gradgen.lowering.blocks import in_blocks
from gradgen.lowering.passes import unrolled
from gradgen.search.arrays.portfolio import candidates, sweep

_ONE = "ct"
"""The cotangent of a single number, which is one."""
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
    given = [Given(i.variable, s, i.dtype) for i, s in zip(trace.inputs, trace.shapes, strict=True)]
    vectors = {**cotangents, **tangents, _ONE: str(trace.outputs[0].atom)}
    known = trace.shapes_by_variable
    given += [Given(v, known[of], "float") for v, of in vectors.items() if of in known]
    chosen = choose_taking(settings, front.source, trace, whole, given, list(cotangents))
    times = 1 if settings.unroll == "auto" else int(settings.unroll)

    def taken(program: Program) -> Program:
        made = in_blocks(program, given, chosen.taking, dict(trace.sizes))
        return unrolled(made, times)

    gradient = _gradient(trace) if trace.is_loss else None
    whole = unrolled(chosen.program, times)
    return ArrayModule(
        source=front.source,
        trace=trace,
        primal=taken(ArrayCode(trace).primal()),
        vjp=taken(vjp),
        jvp=None if jvp is None else taken(jvp),
        gradient=None if gradient is None else taken(gradient),
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
        memory=chosen.bytes if trace.loops else None,
        factor=chosen.factor,
    )


def _gradient(trace: ArrayTrace) -> Program | None:
    """Value and gradient of the first output; none where that does not vary."""
    first = trace.outputs[0].atom
    if not isinstance(first, str):
        return None
    weighed = {_ONE: first}
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
