"""Linear maps as partials, for derivatives that have axes at both ends: traces.

A slice takes row i from column j where two numbers that grow with i and j are equal. So it has a
pattern: the axes that it leaves alone have a label in common, and along those that it takes
elements from, what is stored is ones and zeros. The same goes for joining, padding, reversing,
sums up to a place and writing to a place. The derivative of a convolution by its kernel holds the
windows of its operand, and has no axis of the channels that come out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from gradgen.ir.array_trace import ArrayElemental, ArrayTrace, Operator, Part, Partial
from gradgen.ir.builder import Builder
from gradgen.ir.code import Atom, Attribute, Const, DType, Instruction, Var
from gradgen.ir.patterns import Label, Pattern
from gradgen.ir.shapes import Dim, Shape, multiple


def formed(trace: ArrayTrace) -> ArrayTrace:
    """The trace with partials in place of the linear maps that can be written so."""
    forming = _Forming(trace)
    elementals = tuple(forming.elemental(e) for e in trace.elementals)
    return replace(
        trace, partials=(*trace.partials, *forming.builder.instructions), elementals=elementals
    )


class _Forming:
    """Code of partials under construction."""

    def __init__(self, trace: ArrayTrace) -> None:
        self.builder = Builder("m")
        self.shapes = trace.shapes_by_variable
        self.code = {i.target: i for i in trace.primal}

    def elemental(self, elemental: ArrayElemental) -> ArrayElemental:
        return replace(elemental, parts=tuple(self._parts(elemental)))

    def _parts(self, elemental: ArrayElemental) -> Iterator[Part]:
        instruction = self.code[elemental.target]
        rule = _RULES.get(instruction.op)
        self.builder.line = instruction.line
        for part in elemental.parts:
            found = None
            if isinstance(part, Operator) and rule is not None:
                slots = [k for k, v in enumerate(instruction.operands) if v == part.source]
                found = [rule(self, instruction, k) for k in slots]
            if found is None or None in found:
                yield self._mixing(part, instruction)
            else:
                yield from (one for one in found if one is not None)

    def _mixing(self, part: Part, instruction: Instruction) -> Part:
        """A linear map that stays one, with the axes that a convolution mixes."""
        if not isinstance(part, Operator) or instruction.op != "conv":
            return part
        batch: int = instruction.attribute("lhs_spec")[0]
        if part.source != instruction.operands[0]:
            return part
        shape = self.shapes[part.source]
        return replace(part, mixed=(*shape[:batch], *shape[batch + 1 :]))

    def shape(self, atom: Atom) -> Shape:
        """The shape of an operand."""
        return self.shapes[atom] if isinstance(atom, str) else ()

    def emit(
        self, op: str, operands: Sequence[Atom], dtype: DType, *attributes: tuple[str, Attribute]
    ) -> Atom:
        """Add an instruction."""
        return self.builder.emit_instruction(
            Instruction("", op, tuple(operands), attributes, dtype)
        )

    def places(self, shape: Shape, axis: int) -> Atom:
        """Each element's number along an axis."""
        return self.emit("iota", (), "int", ("dimension", axis), ("shape", shape))

    def number(self, dim: Dim) -> Atom:
        """A size, or an offset."""
        if isinstance(dim, int):
            return Const(dim, "int")
        return self.emit("size", (), "int", ("dim", dim), ("shape", ()))

    def scaled(self, atom: Atom, factor: int, offset: Dim) -> Atom:
        """A whole number times the factor and plus the offset."""
        if factor != 1:
            atom = self.emit("mul", (atom, Const(factor, "int")), "int")
        return atom if offset == 0 else self.emit("add", (atom, self.number(offset)), "int")

    def partial(
        self,
        source: Var,
        rows: Sequence[Label],
        columns: Sequence[Label],
        dims: dict[Label, Dim],
        atom: Atom,
        layout: Sequence[Label],
        *,
        windows: bool = False,
    ) -> Partial:
        """The partial whose value has these labels along its axes."""
        pattern, number = Pattern.of(
            tuple(rows),
            tuple(columns),
            frozenset(layout),
            dims,
            free=not windows,
            contracts=windows,
        )
        axes = tuple(None if dims[label] == 1 else number[label] for label in layout)
        return Partial(source, pattern, atom, axes)

    def moved(
        self,
        source: Var,
        target: Var,
        along: dict[int, Callable[[Atom, Atom], Atom]],
    ) -> Partial:
        """Elements move along some axes: there is one where, of the numbers of row and column, the
        condition holds."""
        rows = tuple(range(len(self.shapes[target])))
        dims: dict[Label, Dim] = dict(enumerate(self.shapes[target]))
        columns = []
        for axis, dim in enumerate(self.shapes[source]):
            label = len(dims) if axis in along else axis
            dims.setdefault(label, dim)
            columns.append(label)
        layout = [label for axis in sorted(along) for label in (axis, columns[axis])]
        shape = tuple(dims[label] for label in layout)
        mask: Atom = Const(True, "bool")
        for axis, condition in along.items():
            row, column = (self.places(shape, layout.index(k)) for k in (axis, columns[axis]))
            mask = self.emit("and", (mask, condition(row, column)), "bool")
        return self.partial(source, rows, columns, dims, self.ones(mask), layout)

    def at_places(
        self,
        source: Var,
        rows: Sequence[Label],
        columns: Sequence[Label],
        dims: dict[Label, Dim],
        index: Atom,
        new: Sequence[Label],
        axis: Label,
        comparison: str = "eq",
    ) -> Partial:
        """Elements at the places of an axis that an index says, along axes that are new."""
        places = self.places((dims[axis],), 0)
        ones = self.ones(self.emit(comparison, (index, places), "bool"))
        return self.partial(source, rows, columns, dims, ones, (*new, axis))

    def ones(self, mask: Atom) -> Atom:
        """One where the mask holds, else zero."""
        return self.emit("convert", (mask,), "float", ("from", "bool"))

    def equal(self, one: Atom, other: Atom) -> Atom:
        """Where two numbers are the same."""
        return self.emit("eq", (one, other), "bool")


def _slice(forming: _Forming, instruction: Instruction, slot: int) -> Partial:
    (operand,) = instruction.variables
    starts, strides = instruction.attribute("starts"), instruction.attribute("strides")
    sizes = zip(forming.shapes[operand], forming.shapes[instruction.target], strict=True)

    def taken(start: Dim, stride: int) -> Callable[[Atom, Atom], Atom]:
        return lambda row, column: forming.equal(forming.scaled(row, stride, start), column)

    along = {
        axis: taken(starts[axis], strides[axis])
        for axis, (before, after) in enumerate(sizes)
        if before != after
    }
    return forming.moved(operand, instruction.target, along)


def _pad(forming: _Forming, instruction: Instruction, slot: int) -> Partial | None:
    operand, _ = instruction.operands
    if slot or not isinstance(operand, str):
        return None

    def put(low: Dim, between: int) -> Callable[[Atom, Atom], Atom]:
        return lambda row, column: forming.equal(row, forming.scaled(column, between + 1, low))

    config = enumerate(instruction.attribute("config"))
    along = {
        axis: put(low, between)
        for axis, (low, high, between) in config
        if (low, high, between) != (0, 0, 0)
    }
    return forming.moved(operand, instruction.target, along)


def _concatenate(forming: _Forming, instruction: Instruction, slot: int) -> Partial:
    axis: int = instruction.attribute("axis")
    before = [forming.shape(operand)[axis] for operand in instruction.operands[:slot]]
    known = sum(dim for dim in before if isinstance(dim, int))
    named = [f"({dim})" for dim in before if not isinstance(dim, int)]
    offset: Dim = " + ".join([*named, str(known)]) if named else known
    operand = instruction.operands[slot]
    assert isinstance(operand, str)

    def put(row: Atom, column: Atom) -> Atom:
        return forming.equal(row, forming.scaled(column, 1, offset))

    return forming.moved(operand, instruction.target, {axis: put})


def _rev(forming: _Forming, instruction: Instruction, slot: int) -> Partial:
    (operand,) = instruction.variables

    def turned(dim: Dim) -> Callable[[Atom, Atom], Atom]:
        def condition(row: Atom, column: Atom) -> Atom:
            last = forming.scaled(forming.number(dim), 1, -1)
            return forming.equal(forming.emit("add", (row, column), "int"), last)

        return condition

    shape = forming.shapes[operand]
    along = {axis: turned(shape[axis]) for axis in instruction.attribute("axes")}
    return forming.moved(operand, instruction.target, along)


def _cumsum(forming: _Forming, instruction: Instruction, slot: int) -> Partial:
    (operand,) = instruction.variables
    comparison = "ge" if not instruction.attribute("reverse") else "le"

    def summed(row: Atom, column: Atom) -> Atom:
        return forming.emit(comparison, (row, column), "bool")

    return forming.moved(operand, instruction.target, {instruction.attribute("axis"): summed})


def _gather(forming: _Forming, instruction: Instruction, slot: int) -> Partial | None:
    """From one place of an axis, or from several."""
    operand, index = instruction.operands
    asked: dict[str, Any] = dict(instruction.attributes)
    shape, places = forming.shape(operand), forming.shape(index)
    axes = asked["start_index_map"]
    kept = [k for k in range(len(shape)) if k not in axes]
    rows = list(range(len(forming.shapes[instruction.target])))
    new = [k for k in rows if k not in asked["offset_dims"]]
    if (
        slot
        or axes != asked["collapsed_slice_dims"]
        or not _has_places(forming, index, asked)
        or any(asked["slice_sizes"][k] != shape[k] for k in kept)
    ):
        return None
    assert isinstance(operand, str)
    (axis,), more = axes, len(shape)
    labels = iter(kept)
    dims = dict(enumerate((*shape, *places[:-1])))
    found = [more if k in new else next(labels) for k in rows]
    return forming.at_places(
        operand, found, range(len(shape)), dims, index, [more][: len(new)], axis
    )


def _scatter(forming: _Forming, instruction: Instruction, slot: int) -> Partial | None:
    """To one place of an axis: what is put there, or what was there at all others."""
    operand, index, _ = instruction.operands
    asked: dict[str, Any] = dict(instruction.attributes)
    shape, axes = forming.shape(operand), asked["scatter_dims_to_operand_dims"]
    kept = tuple(k for k in range(len(shape)) if k not in axes)
    source = instruction.operands[slot]
    if (
        axes != asked["inserted_window_dims"]
        or asked["update_window_dims"] != tuple(range(len(kept)))
        or forming.shape(index) != (1,)
        or not _has_places(forming, index, asked)
        or forming.shape(instruction.operands[2]) != tuple(shape[k] for k in kept)
    ):
        return None
    assert isinstance(source, str)
    columns = range(len(shape)) if slot == 0 else kept
    dims: dict[Label, Dim] = dict(enumerate(shape))
    if slot == 0 and instruction.op == "scatter_add":
        return forming.partial(source, columns, columns, dims, Const(1.0), ())
    comparison = "ne" if slot == 0 else "eq"
    rows, (axis,) = range(len(shape)), axes
    return forming.at_places(source, rows, columns, dims, index, (), axis, comparison)


def _has_places(forming: _Forming, index: Atom, asked: dict[str, Any]) -> bool:
    """Whether an index is places of one axis, and what lies outside is dropped, or cannot be."""
    batched = [k for k in asked if k.endswith("batching_dims") and asked[k]]
    known = asked["mode"] in ("FILL_OR_DROP", "PROMISE_IN_BOUNDS")
    shape = forming.shape(index)
    return len(shape) in (1, 2) and shape[-1] == 1 and not batched and known


def _conv(forming: _Forming, instruction: Instruction, slot: int) -> Partial | None:
    """By the kernel: the windows of the operand, each taken out by a kernel of ones and zeros."""
    operand, kernel = instruction.operands
    asked: dict[str, Any] = dict(instruction.attributes)
    if slot == 0 or operand == kernel or (asked["groups"], asked["batches"]) != (1, 1):
        return None
    assert isinstance(operand, str)
    assert isinstance(kernel, str)
    given, made, weights = (forming.shapes[v] for v in (operand, instruction.target, kernel))
    batch, channels = (given[k] for k in asked["lhs_spec"][:2])
    window = tuple(weights[k] for k in asked["rhs_spec"][2:])
    places = tuple(made[k] for k in asked["out_spec"][2:])
    number = multiple(channels) if isinstance(channels, str) else (channels, "")
    if number is None or not all(isinstance(dim, int) for dim in window):
        return None
    count = prod(dim for dim in window if isinstance(dim, int))
    planes: Dim = f"{number[0] * count}*{number[1]}" if number[1] else number[0] * count
    # of each channel a plane for each place of the window, in which stands what is there
    kernels = (channels, count, *window)
    place: Atom = Const(0, "int")
    for axis, dim in enumerate(window, start=2):
        assert isinstance(dim, int)
        place = forming.scaled(place, dim, 0)
        place = forming.emit("add", (place, forming.places(kernels, axis)), "int")
    taking = forming.ones(forming.equal(forming.places(kernels, 1), place))
    taking = forming.emit("reshape", (taking,), "float", ("shape", (planes, 1, *window)))
    axes = tuple(range(len(made)))
    changed: dict[str, Attribute] = {
        "rhs_spec": axes,
        "out_spec": axes,
        "groups": channels,
        "shape": (batch, planes, *places),
    }
    windows = forming.emit("conv", (operand, taking), "float", *(asked | changed).items())
    shape = (batch, channels, *window, *places)
    windows = forming.emit("reshape", (windows,), "float", ("shape", shape))
    layout = tuple(range(len(shape)))
    labels = layout[0], len(shape), *layout[2 + len(window) :]
    rows = [labels[asked["out_spec"].index(k)] for k in axes]
    inner = len(shape), *layout[1 : 2 + len(window)]
    columns = [inner[asked["rhs_spec"].index(k)] for k in axes]
    dims: dict[Label, Dim] = {**dict(enumerate(shape)), len(shape): made[asked["out_spec"][1]]}
    return forming.partial(kernel, rows, columns, dims, windows, layout, windows=True)


_RULES: dict[str, Callable[[_Forming, Instruction, int], Partial | None]] = {
    "slice": _slice,
    "pad": _pad,
    "concatenate": _concatenate,
    "rev": _rev,
    "cumsum": _cumsum,
    "gather": _gather,
    "scatter": _scatter,
    "scatter_add": _scatter,
    "conv": _conv,
}
