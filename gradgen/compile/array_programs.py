"""From a trace on arrays to the programs of a module: plans, accumulation, passes."""

from __future__ import annotations

from gradgen.compile.array_front import ArrayFront
from gradgen.compile.programs import GENERATOR
from gradgen.elimination.arrays import (
    cheapest,
    goes_forward,
    sweep,
    weighted_inputs,
    weighted_outputs,
)
from gradgen.frontend.reading.local_imports import digests_of_imports
from gradgen.ir.array_module import ArrayModule, Work
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.program import Program
from gradgen.lowering.array_residuals import split_arrays
from gradgen.lowering.arrays import ArrayCode


def array_module(front: ArrayFront) -> ArrayModule:
    """The programs of a source on arrays."""
    trace, settings = front.trace, front.settings
    sizes = dict(trace.sizes)
    cotangents: dict[str, str] = {}
    weighed = []
    for output in trace.float_outputs:
        if isinstance(output.atom, str):
            weight = f"ct{len(cotangents)}"
            cotangents[weight] = output.atom
            weighed.append((output.path, weight))
    pulled_graph = weighted_outputs(trace, cotangents)
    pulled = Work(cheapest(pulled_graph, sizes), sweep(pulled_graph, sizes))
    tangents = {f"tan{k}": i.variable for k, i in enumerate(trace.inputs) if i.wrt}
    pushed_graph = weighted_inputs(trace, tangents)
    pushed = None
    if goes_forward(pushed_graph):
        pushed = Work(cheapest(pushed_graph, sizes), sweep(pushed_graph, sizes))
    vjp = ArrayCode(trace).vjp(pulled.plan, cotangents)
    # a loop that has run is not run again for what it keeps
    whole = ArrayCode(trace).step(pulled.plan, cotangents) if trace.loops else vjp
    return ArrayModule(
        source=front.source,
        trace=trace,
        primal=ArrayCode(trace).primal(),
        vjp=vjp,
        jvp=None if pushed is None else ArrayCode(trace).jvp(pushed.plan, tangents),
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
    )


def _gradient(trace: ArrayTrace) -> Program | None:
    """Value and gradient of the first output; none where that does not vary."""
    first = trace.outputs[0].atom
    if not isinstance(first, str):
        return None
    weighed = {"ct": first}
    plan = cheapest(weighted_outputs(trace, weighed), dict(trace.sizes))
    return ArrayCode(trace).gradient(plan, weighed)
