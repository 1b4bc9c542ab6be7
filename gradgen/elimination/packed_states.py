"""States that lie packed in one array, place by place or part by part, as states of their own.

Where a step does nothing with an array but take it apart along an axis, and puts the next one
together of parts of the same sizes, each part has traces with the axes that it needs, and errors
at it meet them before it is packed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from gradgen.ir.array_trace import ArrayTrace
from gradgen.ir.code import Instruction, Var
from gradgen.ir.shapes import Dim, Shape, multiple


@dataclass(frozen=True)
class _View:
    """A variable that has some of an array's elements, and which of its axes are which."""

    variable: Var
    axes: tuple[int | None, ...]
    """For each axis the one of the array; None for an axis of size one."""
    cut: tuple[int, Dim, Dim] | None = None
    """The axis that it has a part of, where the part begins and where it ends."""


def parts_of(trace: ArrayTrace, state: Var, following: Var) -> dict[Var, Var]:
    """The parts of a state that is taken apart, with their next values; itself if it is not."""
    shapes = trace.shapes_by_variable
    code = {i.target: i for i in trace.primal}
    readers: dict[Var, list[Var]] = {}
    for elemental in trace.elementals:
        for source in dict.fromkeys(part.source for part in elemental.parts):
            readers.setdefault(source, []).append(elemental.target)
    outputs = {o.atom for o in trace.float_outputs}

    def taken(view: _View) -> list[list[_View]]:
        """The chains of views below one, as long as nothing else reads them."""
        found = [_read(code[v], view, shapes) for v in readers.get(view.variable, ())]
        views = [v for v in found if v is not None]
        same = len({v.cut for v in views}) < len(views)
        if not views or len(views) < len(found) or same or view.variable in outputs:
            return [[view]]
        return [[view, *chain] for below in views for chain in taken(below)]

    def put(view: _View) -> Iterator[list[_View]]:
        """The chains of views above one, of what it is put together of."""
        above = list(_operands(code.get(view.variable), view, shapes))
        for operand in above:
            for chain in put(operand):
                yield [view, *chain]
        if not above:
            yield [view]

    whole = _View(state, _axes(shapes[state])), _View(following, _axes(shapes[following]))
    new: dict[object, list[_View]] = {}
    for chain in put(whole[1]):
        new[chain[-1].cut] = chain
    found: dict[Var, Var] = {}
    for chain in taken(whole[0]):
        pair = _alike(chain, new.get(chain[-1].cut, ()), shapes)
        if chain[-1].cut is None or pair is None:
            return {state: following}
        found[pair[0]] = pair[1]
    return found


def _alike(
    old: Sequence[_View], new: Sequence[_View], shapes: Mapping[Var, Shape]
) -> tuple[Var, Var] | None:
    """The farthest views of the same part that have the same axes."""
    for one in reversed(old):
        for other in reversed(new):
            if (
                one.cut == other.cut
                and one.axes == other.axes
                and shapes[one.variable] == shapes[other.variable]
            ):
                return one.variable, other.variable
    return None


def _axes(shape: Shape) -> tuple[int | None, ...]:
    return tuple(None if dim == 1 else axis for axis, dim in enumerate(shape))


def _read(instruction: Instruction, view: _View, shapes: Mapping[Var, Shape]) -> _View | None:
    """What an instruction makes of a view, if that is one."""
    before, after = shapes[view.variable], shapes[instruction.target]
    target = instruction.target
    if instruction.op == "transpose":
        order = instruction.attribute("permutation")
        return replace(view, variable=target, axes=tuple(view.axes[k] for k in order))
    if instruction.op in ("reshape", "broadcast"):
        if [d for d in before if d != 1] != [d for d in after if d != 1]:
            return None
        waiting = iter(axis for axis in view.axes if axis is not None)
        axes = tuple(None if dim == 1 else next(waiting) for dim in after)
        return replace(view, variable=target, axes=axes)
    if instruction.op == "slice" and view.cut is None:
        changed = [k for k, (a, b) in enumerate(zip(before, after, strict=True)) if a != b]
        if len(changed) == 1 and instruction.attribute("strides")[changed[0]] == 1:
            (k,) = changed
            start, limit = (instruction.attribute(name)[k] for name in ("starts", "limits"))
            axis = view.axes[k]
            assert axis is not None
            axes = tuple(None if d == 1 else a for a, d in zip(view.axes, after, strict=True))
            return _View(target, axes, (axis, start, limit))
    return None


def _operands(
    instruction: Instruction | None, view: _View, shapes: Mapping[Var, Shape]
) -> Iterator[_View]:
    """What a view is put together of, by an instruction that does nothing else."""
    if instruction is None or not all(isinstance(a, str) for a in instruction.operands):
        return
    if instruction.op == "transpose":
        order = instruction.attribute("permutation")
        axes = tuple(view.axes[order.index(k)] for k in range(len(order)))
        yield replace(view, variable=instruction.variables[0], axes=axes)
    elif instruction.op in ("reshape", "broadcast"):
        (operand,) = instruction.variables
        before, after = shapes[operand], shapes[view.variable]
        if [d for d in before if d != 1] == [d for d in after if d != 1]:
            waiting = iter(axis for axis in view.axes if axis is not None)
            axes = tuple(None if dim == 1 else next(waiting) for dim in before)
            yield replace(view, variable=operand, axes=axes)
    elif instruction.op == "concatenate" and view.cut is None:
        k = instruction.attribute("axis")
        axis, start = view.axes[k], 0
        if axis is None:
            return
        found: list[_View] = []
        begin: Dim = start
        for operand in instruction.variables:
            end = _sum(begin, shapes[operand][k])
            if end is None:
                return
            axes = tuple(
                None if d == 1 else a for a, d in zip(view.axes, shapes[operand], strict=True)
            )
            found.append(_View(operand, axes, (axis, begin, end)))
            begin = end
        yield from found


def _sum(one: Dim, other: Dim) -> Dim | None:
    """The sum of two sizes, as sizes are written; None where that is no number times a name."""
    if isinstance(one, int) and isinstance(other, int):
        return one + other
    if one == 0 or other == 0:
        return other if one == 0 else one
    first, second = multiple(one), multiple(other)
    if first is None or second is None or first[1] != second[1]:
        return None
    return f"{first[0] + second[0]}*{first[1]}"
