"""Writes values that are arrays with labelled axes: products, sums, and axes put in place.

A product is a multiplication where one array can be stretched along the other, a contraction where
a matrix product was, and a sum.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradgen.ir.algebra import mask_values
from gradgen.ir.builder import Builder
from gradgen.ir.code import Atom, Attribute, Const, Instruction, Var
from gradgen.ir.patterns import Label, Pattern, Product
from gradgen.ir.shapes import Dim, Shape, shape_of
from gradgen.lowering.array_layouts import (
    Layout,
    Stored,
    layout_of_product,
    named,
    natural,
    relabelled,
)


class ArrayWriter:
    """Writes into a builder, and knows the shape of whatever is in it."""

    def __init__(self, builder: Builder, shapes: dict[Var, Shape]) -> None:
        """`shapes` are those of what is given; it grows."""
        self._builder = builder
        self._shapes = shapes

    def product(self, left: Stored, right: Stored, product: Product) -> Stored:
        """Two values multiplied, and summed over what they share, as their patterns say."""
        one = Stored(left.atom, relabelled(left.layout, product.left))
        two = Stored(right.atom, relabelled(right.layout, product.right))
        wanted = named(natural(product.pattern), product.kept)
        shared = {*one.layout} & {*two.layout} & product.summed
        if product.pattern.contracts and shared:
            found = self._contracted(one, two, product, wanted)
        else:
            atoms, layout = self.aligned((one, two), layout_of_product((one, two), wanted))
            atom = self._builder.emit("mul", *atoms)
            found = self._summed(self.settled(atom, layout), product.summed, wanted)
        for dim in product.repeated:
            found = Stored(self._builder.emit("mul", self._size(dim), found.atom), found.layout)
        return self.settled(found.atom, relabelled(found.layout, product.kept))

    def _contracted(self, one: Stored, two: Stored, product: Product, wanted: Layout) -> Stored:
        """A matrix product, or another contraction."""
        bare = [self._without_ones(value) for value in (one, two)]
        letters = {
            label: chr(ord("a") + k)
            for k, label in enumerate(dict.fromkeys((*bare[0].layout, *bare[1].layout)))
        }
        result = tuple(label for label in wanted if label is not None)
        # what is summed over on one side alone is summed by the contraction as well
        left, right, out = (
            "".join(letters[x] for x in p) for p in (*(b.layout for b in bare), result)
        )
        shape = tuple(product.dims[label] for label in result if label is not None)
        atom = self._array(
            "einsum", [b.atom for b in bare], shape, ("spec", f"{left},{right}->{out}")
        )
        return self.fitted(Stored(atom, result), wanted)

    def _summed(self, value: Stored, summed: frozenset[Label], wanted: Layout) -> Stored:
        """A sum over some labels, axes of size one kept where they are wanted."""
        axes = tuple(k for k, label in enumerate(value.layout) if label in summed)
        if not axes:
            return value
        keep = None in wanted
        layout = tuple(
            None if label in summed else label
            for label in value.layout
            if keep or label not in summed
        )
        shape = self.shape(value.atom)
        left = tuple(1 if k in axes else d for k, d in enumerate(shape) if keep or k not in axes)
        kept: list[tuple[str, Attribute]] = [("keepdims", True)] if keep else []
        atom = self._array("reduce_sum", [value.atom], left, ("axes", axes), *kept)
        return Stored(atom, layout)

    def aligned(self, values: Sequence[Stored], wanted: Layout) -> tuple[list[Atom], Layout]:
        """The values so that they can be stretched along each other, and what comes of that."""
        fitted = [self.fitted(value, wanted) for value in values]
        rank = max((len(value.layout) for value in fitted), default=0)
        layout: list[Label | None] = [None] * rank
        for value in fitted:
            for k, label in enumerate(reversed(value.layout), start=1):
                layout[-k] = label if layout[-k] is None else layout[-k]
        return [value.atom for value in fitted], tuple(layout)

    def fitted(self, value: Stored, wanted: Layout) -> Stored:
        """The value with its axes in the places of the layout that is wanted, from the last on."""
        placed = zip(reversed(value.layout), reversed(wanted), strict=False)
        if len(value.layout) <= len(wanted) and all(a in (None, b) for a, b in placed):
            return value
        mask = mask_values(self._builder, value.atom)
        if mask is not None and isinstance(mask[0], str):
            # it stays a mask, which chooses: a zero of it times what is infinite were no number
            condition, if_true, if_false = mask
            chosen = self.fitted(Stored(condition, value.layout), wanted)
            atom = self._builder.emit("select", chosen.atom, Const(if_true), Const(if_false))
            return self.settled(atom, chosen.layout)
        bare = self._without_ones(value)
        order = [label for label in wanted if label in bare.layout]
        if order != list(bare.layout):
            permutation = tuple(bare.layout.index(label) for label in order)
            shape = self.shape(bare.atom)
            moved = tuple(shape[k] for k in permutation)
            atom = self._array("transpose", [bare.atom], moved, ("permutation", permutation))
            bare = Stored(atom, tuple(order))
        first = next((k for k, label in enumerate(wanted) if label in bare.layout), len(wanted))
        layout = tuple(label if label in bare.layout else None for label in wanted[first:])
        if layout == bare.layout:
            return bare
        sizes = dict(zip(bare.layout, self.shape(bare.atom), strict=True))
        shape = tuple(1 if label is None else sizes[label] for label in layout)
        dims = tuple(layout.index(label) for label in bare.layout)
        return Stored(self.broadcast(bare.atom, shape, dims), layout)

    def _without_ones(self, value: Stored) -> Stored:
        """The value without axes of size one."""
        layout = tuple(label for label in value.layout if label is not None)
        if layout == value.layout:
            return value
        shape = self.shape(value.atom)
        kept = tuple(d for d, label in zip(shape, value.layout, strict=True) if label is not None)
        return Stored(self._array("reshape", [value.atom], kept), layout)

    def full(self, value: Stored, pattern: Pattern, shape: Shape) -> Atom:
        """A vector in the full shape of what it belongs to."""
        axes: Layout = tuple(
            None if dim == 1 else label
            for label, dim in zip((*pattern.rows, *pattern.columns), shape, strict=True)
        )
        return self.spread(self.fitted(value, axes).atom, shape, "float")

    def spread(self, atom: Atom, shape: Shape, dtype: str) -> Atom:
        """The value in a full shape: its own axes are the last ones."""
        own = self.shape(atom)
        if own == shape:
            return atom
        dims = tuple(range(len(shape) - len(own), len(shape)))
        return self.broadcast(atom, shape, dims, dtype)

    def broadcast(
        self, atom: Atom, shape: Shape, dims: tuple[int, ...], dtype: str = "float"
    ) -> Atom:
        """The value in a full shape: `dims` says where its own axes are."""
        attributes = ("dims", dims), ("own", self.shape(atom))
        return self._array("broadcast", [atom], shape, *attributes, dtype=dtype)

    def _array(
        self,
        op: str,
        operands: Sequence[Atom],
        shape: Shape,
        *attributes: tuple[str, Attribute],
        dtype: str = "float",
    ) -> Atom:
        return self._builder.emit_instruction(
            Instruction("", op, tuple(operands), (*attributes, ("shape", shape)), dtype)
        )

    def _size(self, dim: Dim) -> Atom:
        if isinstance(dim, int):
            return Const(float(dim))
        return self._array("size", [], (), ("dim", dim), dtype="weak")

    def settled(self, atom: Atom, layout: Layout) -> Stored:
        """A value with its layout as far as it has axes: algebra may leave less than was due."""
        shape = self.shape(atom)
        layout = layout[len(layout) - len(shape) :]
        return Stored(
            atom, tuple(None if d == 1 else a for a, d in zip(layout, shape, strict=True))
        )

    def shape(self, atom: Atom) -> Shape:
        """The shape of what has been written or given."""
        if isinstance(atom, Const):
            return ()
        if atom not in self._shapes:
            definition = self._builder.definition(atom)
            assert definition is not None
            for operand in definition.variables:
                self.shape(operand)
            self._shapes[atom] = shape_of(definition, self._shapes)
        return self._shapes[atom]
