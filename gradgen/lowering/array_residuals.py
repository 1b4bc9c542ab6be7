"""What a function on arrays keeps for its backward pass, and where its sizes are known from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import Var
from gradgen.ir.loops import LOOP, loop_of, nested
from gradgen.ir.module import Passes, Residuals
from gradgen.ir.program import Program
from gradgen.ir.results import Kept
from gradgen.ir.shapes import Shape, elements, names_in, shapes_of, told_by
from gradgen.lowering.passes import without_idle
from gradgen.lowering.residuals import Leaves, passes_of


def split_arrays(
    program: Program, trace: ArrayTrace, weighed: Mapping[Var, str], residuals: Residuals
) -> Passes:
    """A forward and a backward pass of a program on arrays, counted at the sizes of the trace.

    What the caller has anyway, all inputs but a state, is kept for nothing, and where anything is
    computed to be kept, so is what is computed from weights alone. `weighed` says of which output,
    by its path, each cotangent is.
    """
    state = {path for path, _ in trace.recurrence}
    cotangents = [v for v in program.inputs if v not in {i.variable for i in trace.inputs}]
    given = {i.variable: s for i, s in zip(trace.inputs, trace.shapes, strict=True)}
    # a cotangent is read in the backward pass alone, and what depends on it is never kept
    shapes = shapes_of(program.instructions, given | dict.fromkeys(cotangents, ()))
    sizes = dict(trace.sizes)
    leaves = Leaves(
        {i.variable: i.dtype for i in trace.inputs},
        [i.variable for i in trace.inputs if i.path in state],
        [i.variable for i in trace.inputs if i.path not in state],
        {v: elements(shape, sizes) for v, shape in shapes.items()},
    )
    passes = _pruned(passes_of(program, leaves, residuals))
    weights = _weights(given, leaves.charged)
    if weights and passes.forward.instructions:
        driving = [v for v in leaves.driving if v not in weights]
        passes = _pruned(passes_of(program, replace(leaves, driving=driving), residuals))
    paths = {i.variable: i.path for i in trace.inputs}
    outputs = dict(zip((o.path for o in trace.outputs), trace.output_shapes, strict=True))
    told = [given.get(v, ()) for v in passes.kept] + [outputs[weighed[v]] for v in cotangents]
    missing = sizes_read(passes.backward).difference(*map(told_by, told))
    free_first = sorted(given, key=lambda v: paths[v] in state)
    telling = {next(v for v in free_first if axis in told_by(given[v])) for axis in sorted(missing)}
    if not telling:
        return passes
    kept = tuple(v for v in program.inputs if v in telling) + passes.kept
    return replace(
        passes,
        kept=kept,
        sizes=(*([0] * len(telling)), *passes.sizes),
        forward=replace(
            passes.forward,
            results=(
                *(r for r in passes.forward.results if not isinstance(r[0], Kept)),
                *((Kept(v), v) for v in kept),
            ),
        ),
        backward=replace(passes.backward, inputs=(*kept, *cotangents)),
    )


def _weights(given: Mapping[Var, Shape], state: Collection[Var]) -> set[Var]:
    """The inputs of a step that are the same in all steps, as far as shapes can tell.

    What drives a state has its batch axis, the first one, or where there is no batch as many axes
    as it at most. A wrong guess costs time or memory and no more: what is computed from weights
    alone is kept, which a loop over time does once.
    """
    rank = max((len(given[v]) for v in state), default=0)
    first = {given[v][:1] for v in state}
    others = {v: shape for v, shape in given.items() if shape and v not in state}
    batched = len(first) == 1 and any(
        len(shape) <= rank and shape[:1] in first for shape in others.values()
    )
    return {
        v
        for v, shape in others.items()
        if rank and (len(shape) > rank or (batched and shape[:1] not in first))
    }


def _pruned(passes: Passes) -> Passes:
    """Each pass with what it reads of loops alone."""
    return replace(
        passes, forward=without_idle(passes.forward), backward=without_idle(passes.backward)
    )


def split_step(
    program: Program, trace: ArrayTrace, stays: Collection[Var], residuals: Residuals
) -> Passes:
    """A forward and a backward pass of one step of a loop; of its inputs, `stays` cost nothing."""
    given = {i.variable: s for i, s in zip(trace.inputs, trace.shapes, strict=True)}
    vectors = dict.fromkeys((v for v in program.inputs if v not in given), ())
    shapes = shapes_of(program.instructions, given | vectors)
    sizes = dict(trace.sizes)
    leaves = Leaves(
        {i.variable: i.dtype for i in trace.inputs},
        [i.variable for i in trace.inputs if i.variable not in stays],
        stays,
        {v: elements(shape, sizes) for v, shape in shapes.items()},
    )
    return passes_of(program, leaves, residuals)


_WITH_SIZES = {
    "broadcast": ("shape",),
    "reshape": ("shape",),
    "size": ("dim",),
    "iota": ("shape",),
    "slice": ("starts", "limits"),
    "pad": ("config",),
    "dynamic_slice": ("sizes",),
    "gather": ("slice_sizes",),
    "random": ("shape",),
    "split_key": ("shape",),
}
"""The attributes of operations in which code names sizes."""


def sizes_read(program: Program) -> set[str]:
    """The names of sizes that the code of a program has."""
    found: set[str] = set()
    own: set[str] = set()

    def visit(value: object) -> None:
        if isinstance(value, tuple):
            for part in value:
                visit(part)
        elif isinstance(value, str):
            found.update(names_in(value))

    for instruction in nested(program.instructions):
        op, attributes = instruction.op, dict(instruction.attributes)
        if op in ("pullback", "pushforward"):
            op, attributes = str(attributes["op"]), dict(instruction.attribute("inner"))
        if op == LOOP:
            loop = loop_of(instruction)
            if loop.blocks is not None:
                visit((loop.length, loop.blocks.size))
                own.add(loop.blocks.steps)
            elif not loop.sequences:
                visit(loop.length)
        for name in _WITH_SIZES.get(op, ()):
            visit(attributes[name])
    return found - own
