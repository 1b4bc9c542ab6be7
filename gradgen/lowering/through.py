"""Cotangents and tangents through a loop: the loop that carries them, made from one step's program.

Reverse mode runs the steps backwards. What a step of it reads of the forward loop is put out by
that and read again; derivatives by what all steps read are summed up in the carry.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from gradgen.ir.array_plan import Through, weight_of
from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import Atom, Const, Instruction, Var, is_zero, live_code
from gradgen.ir.fission import distribute
from gradgen.ir.loops import (
    Loop,
    StepValue,
    full_instruction,
    item_instruction,
    result_shape,
    start_instruction,
)
from gradgen.ir.module import Residuals
from gradgen.ir.program import Program
from gradgen.ir.results import Cotangent, OutputValue, Tangent
from gradgen.ir.shapes import shapes_of
from gradgen.lowering.array_residuals import split_step
from gradgen.lowering.late_sums import late_sums
from gradgen.lowering.over_time import Neighbours, computed_again, late_code, steps_of
from gradgen.lowering.over_time import stored as stored_values

Write = Callable[[Instruction], Atom]


@dataclass(frozen=True)
class Around:
    """Where a loop stands."""

    operands: tuple[Atom, ...]
    place: Var
    """The loop's variable."""
    vectors: Mapping[int, Atom]
    """Cotangents of its results, or tangents of its operands, those that are not zero."""
    write: Write
    is_given: Callable[[Atom], bool]
    """Whether something is there whatever happens, so that it need not be kept."""
    truths: Callable[[], Collection[Var]]
    """What is 0 or 1 of all that is written so far."""


def weighed_results(step: Through, trace: ArrayTrace) -> dict[Var, Var]:
    """The cotangents that a step of a loop is differentiated with, and whose they are."""
    found = {weight_of(step.loop, k): trace.outputs[k].atom for k in step.steps.weighed}
    return {weight: atom for weight, atom in found.items() if isinstance(atom, str)}


def weighed_operands(step: Through, loop: Loop) -> dict[Var, Var]:
    """The tangents that a step of a loop is differentiated with, and whose they are."""
    return {weight_of(step.loop, k): loop.given[k].variable for k in step.steps.weighed}


def pulled_through(
    step: Through,
    trace: ArrayTrace,
    program: Program,
    loop: Loop,
    around: Around,
    residuals: Residuals,
) -> tuple[Loop, list[Atom]]:
    """The loop with all that it has to put out, and where the cotangents of its operands are.

    `program` is one step with cotangents of its results: outputs, and cotangents of its inputs.
    """
    weights = {k: weight_of(step.loop, k) for k in step.steps.weighed}
    outputs = tuple(a for r, a in program.results if isinstance(r, OutputValue))
    pulled = tuple((r, a) for r, a in program.results if isinstance(r, Cotangent))
    stays = [
        g.variable
        for g, atom in zip(loop.given, around.operands, strict=True)
        if g not in loop.carry and around.is_given(atom)
    ]
    passes = split_step(program, trace, stays, residuals)
    given = {g.variable: k for k, g in enumerate(loop.given)}
    named = trace.input_names
    by_weight = {w: f"d_{named[k]}" for w, k in _carried_by(weights, loop) if k in named}
    hints = (*program.hints, *named.items(), *by_weight.items())
    carried = len(loop.carry)
    first, end = len(loop.constants), len(loop.constants) + carried
    steps = steps_of(loop, program, weights.values(), outputs, dict(trace.sizes))
    chosen = stored_values(steps, passes.kept) if residuals == "auto" else passes.kept
    fresh = [v for v in chosen if v not in steps.free]
    fresh = [i.target for i in steps.code if i.target in fresh] + [
        g.variable for g in loop.carry if g.variable in fresh
    ]
    again = computed_again(steps, fresh, f"{step.loop}_later")
    late = late_code(program, weights.values())
    extended = replace(
        loop,
        code=live_code(program.instructions, [*outputs, *fresh]),
        carried=outputs[:carried],
        stacked=(*outputs[carried:], *fresh),
        hints=hints,
    )
    known, dtypes = extended.shapes, extended.dtypes
    # what is put out anyway is read where it is
    places = {v: k for k, v in reversed(list(enumerate(extended.stacked, start=carried)))}
    used = {v for i in (*again.code, *late) for v in i.variables}
    used |= {a for _, a in pulled if isinstance(a, str)}
    read = [v for v in places if isinstance(v, str) and (v in used or v in again.before)]
    stacks = {}
    for v in read:
        shape = result_shape(extended, places[v], known[v])
        item = item_instruction(around.place, places[v], shape, dtypes[v])
        stacks[v] = around.write(item)
    constants = [k for k in range(first) if loop.constants[k].variable in used]
    sequences = [k for k in range(end, len(loop.given)) if loop.given[k].variable in used]
    neighbours = Neighbours(step.loop, loop, again, {v: known[v] for v in read}, dtypes)
    cotangents = {r.input: a for r, a in pulled if isinstance(r, Cotangent)}
    summed = [
        k
        for k, i in enumerate(trace.inputs)
        if k < first and not is_zero(cotangents.get(i.path, Const(0.0)))
    ]
    # what is carried backwards: the cotangents of the carry, and sums
    back = [k for k in weights if k < carried]
    put_out = [
        k
        for k, i in enumerate(trace.inputs)
        if k >= end and not is_zero(cotangents.get(i.path, Const(0.0)))
    ]
    given_shapes = {g.variable: g.shape for g in loop.given}
    given_shapes |= {w: trace.output_shapes[k] for k, w in weights.items()}
    shapes = shapes_of(program.instructions, given_shapes)
    more, sums = late_sums(
        late, [a for _, a in pulled], [cotangents[trace.inputs[k].path] for k in summed], shapes
    )
    total = {
        k: StepValue(f"{step.loop}_s{k}", sum_.shape or loop.given[k].shape, "float")
        for k, sum_ in zip(summed, sums, strict=True)
    }
    lines = {i.target: i.line for i in (*program.instructions, *more)}
    adding = [
        Instruction(
            f"{step.loop}_n{k}",
            "add",
            (g.variable, sum_.each),
            line=lines.get(sum_.each) if isinstance(sum_.each, str) else None,
        )
        for (k, g), sum_ in zip(total.items(), sums, strict=True)
    ]
    backward = Loop(
        constants=(*(loop.constants[k] for k in constants), *neighbours.constants),
        carry=(
            *(StepValue(weights[k], loop.carry[k].shape, "float") for k in back),
            *total.values(),
        ),
        sequences=(
            *(loop.given[k] for k in sequences),
            *(StepValue(v, known[v], dtypes[v]) for v in read),
            *neighbours.sequences,
            *(
                StepValue(w, trace.output_shapes[k], "float")
                for k, w in weights.items()
                if k >= carried
            ),
        ),
        code=(*neighbours.code, *again.code, *late, *more, *adding),
        carried=(
            *(cotangents.get(loop.carry[k].variable, Const(0.0)) for k in back),
            *(i.target for i in adding),
        ),
        stacked=tuple(cotangents[trace.inputs[k].path] for k in put_out),
        length=loop.length,
        reverse=not loop.reverse,
        hints=hints,
    )
    operands: list[Atom] = [around.operands[k] for k in constants]
    operands += [stacks[v] for v in again.before]
    operands += [
        around.write(
            start_instruction(around.operands[given[v]], around.place, loop.given[given[v]])
        )
        for v in again.first
    ]
    operands += [around.vectors.get(k, Const(0.0)) for k in back]
    operands += [Const(0.0)] * len(summed)
    operands += [around.operands[k] for k in sequences]
    operands += stacks.values()
    operands += neighbours.times(around.write)
    operands += [around.vectors[k] for k in weights if k >= carried]
    found = _written(backward, operands, around)
    for place, sum_ in enumerate(sums, start=len(back)):
        found[place] = sum_.finished(found[place], around.write)
    ends = [first + k for k in back] + summed + put_out
    by_operand = dict(zip(ends, found, strict=True))
    return extended, [by_operand.get(k, Const(0.0)) for k in range(len(loop.given))]


def pushed_through(
    step: Through, trace: ArrayTrace, program: Program, loop: Loop, around: Around
) -> list[Atom]:
    """Where the tangents of a loop's results are; the steps run once more, along with them.

    `program` is one step with tangents of what it is given: outputs, and their tangents.
    """
    weights = {k: weight_of(step.loop, k) for k in step.steps.weighed}
    outputs = [a for r, a in program.results if isinstance(r, OutputValue)]
    tangents = {int(r.output): a for r, a in program.results if isinstance(r, Tangent)}
    first, end = len(loop.constants), len(loop.constants) + len(loop.carry)
    carried = [k for k in weights if first <= k < end]
    stacked = [k for k, a in tangents.items() if k >= len(loop.carry) and not is_zero(a)]

    def vectors(low: int, high: int) -> list[tuple[StepValue, Atom]]:
        return [
            (StepValue(w, loop.given[k].shape, "float"), around.vectors.get(k, Const(0.0)))
            for k, w in weights.items()
            if low <= k < high
        ]

    named = trace.input_names
    by_weight = {
        w: f"t_{named[loop.given[k].variable]}"
        for k, w in weights.items()
        if loop.given[k].variable in named
    }
    hints = (*program.hints, *named.items(), *by_weight.items())
    groups = (
        [*zip(loop.constants, around.operands, strict=False), *vectors(0, first)],
        [*zip(loop.carry, around.operands[first:], strict=False), *vectors(first, end)],
        [*zip(loop.sequences, around.operands[end:], strict=True), *vectors(end, len(loop.given))],
    )
    constants, carry, sequences = (tuple(g for g, _ in group) for group in groups)
    forward = Loop(
        constants=constants,
        carry=carry,
        sequences=sequences,
        code=program.instructions,
        carried=(*outputs[: len(loop.carry)], *(tangents[k - first] for k in carried)),
        stacked=tuple(tangents[k] for k in stacked),
        length=loop.length,
        reverse=loop.reverse,
        hints=hints,
    )
    operands = [atom for group in groups for _, atom in group]
    found = _written(forward, operands, around)
    by_result = dict(zip((k - first for k in carried), found[len(loop.carry) :], strict=False))
    by_result |= dict(zip(stacked, found[len(loop.carry) + len(carried) :], strict=True))
    return [by_result.get(k, Const(0.0)) for k in range(len(trace.outputs))]


def _carried_by(weights: Mapping[int, Var], loop: Loop) -> list[tuple[Var, Var]]:
    """Whose cotangents the weights of a carry are."""
    return [(w, loop.carry[k].variable) for k, w in weights.items() if k < len(loop.carry)]


def _written(loop: Loop, operands: Sequence[Atom], around: Around) -> list[Atom]:
    """Where the results of a loop are that is taken apart as it is written."""
    return distribute(
        _full(loop),
        operands,
        around.write,
        lambda i, _: around.write(i),
        lambda i: i.variables,
        outer_truths=around.truths(),
    )


def _full(loop: Loop) -> Loop:
    """The loop with numbers that it carries as arrays."""
    code, carried = list(loop.code), list(loop.carried)
    for k, (given, atom) in enumerate(zip(loop.carry, loop.carried, strict=True)):
        if isinstance(atom, Const) and given.shape:
            target = f"{given.variable}_full"
            code.append(full_instruction(atom, given.shape, given.dtype, target=target))
            carried[k] = target
    return replace(loop, code=tuple(code), carried=tuple(carried))
