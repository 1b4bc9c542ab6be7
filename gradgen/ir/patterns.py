"""Where the Jacobian of one array by another is not zero, and along what its values vary.

A pattern has one label for each axis of the target (its rows) and of the source (its columns);
equal labels are equal indices, as in an einsum. What is stored varies along the labels *held*. So
an elementwise operation is a diagonal whose values are an array of the operand's shape, and the
partial of `x @ w` by `x` is `w` itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from gradgen.ir.shapes import Dim, Shape, Sizes, multiple, size

Label = int


@dataclass(frozen=True)
class Pattern:
    """The pattern of a partial; its labels are numbered as they occur in rows, then columns."""

    rows: tuple[Label, ...]
    columns: tuple[Label, ...]
    held: frozenset[Label]
    dims: Shape
    """The size of each label's axes. Labels of size one are never held."""
    free: bool = False
    """Whether a product with it takes no multiplication: of ones, minus ones and masks."""
    contracts: bool = False
    """Whether it is that of a matrix product or the like, so that products with it are too."""

    @staticmethod
    def of(
        rows: tuple[Label, ...],
        columns: tuple[Label, ...],
        held: frozenset[Label],
        dims: dict[Label, Dim],
        *,
        free: bool = False,
        contracts: bool = False,
    ) -> tuple[Pattern, dict[Label, Label]]:
        """A pattern from any labels, and how they are numbered in it."""
        number: dict[Label, Label] = {}
        for label in (*rows, *columns):
            number.setdefault(label, len(number))
        sizes = {number[label]: dim for label, dim in dims.items() if label in number}
        kept = frozenset(number[label] for label in held if dims[label] != 1)
        pattern = Pattern(
            tuple(number[label] for label in rows),
            tuple(number[label] for label in columns),
            kept,
            tuple(sizes[k] for k in range(len(number))),
            free,
            contracts,
        )
        return pattern, number

    @property
    def of_vector(self) -> bool:
        """Whether one side is a single number: this is a cotangent, or a tangent."""
        return not self.rows or not self.columns


def vector(shape: Shape, *, rows: bool = False) -> Pattern:
    """The pattern of a cotangent of what has this shape, or of a tangent."""
    axes = tuple(range(len(shape)))
    held = frozenset(k for k, dim in enumerate(shape) if dim != 1)
    return Pattern(axes if rows else (), () if rows else axes, held, shape)


@dataclass(frozen=True)
class Product:
    """How two partials are multiplied: the labels are those of both, unified."""

    pattern: Pattern
    left: dict[Label, Label]
    """The unified label for each of the left pattern's."""
    right: dict[Label, Label]
    kept: dict[Label, Label]
    """For each unified label that the product still has, its number there."""
    summed: frozenset[Label]
    """Unified labels that are held on one side at least, and summed over."""
    repeated: tuple[Dim, ...]
    """The sizes of axes that are summed over, along which nothing varies."""
    dims: dict[Label, Dim]

    def multiplications(self, left: Pattern, right: Pattern, sizes: Sizes) -> int:
        """The multiplications of numbers that it takes."""
        if left.free or right.free:
            return 0
        return self._spread(left, right, sizes)

    def additions(self, left: Pattern, right: Pattern, sizes: Sizes) -> int:
        """The additions of numbers that it takes."""
        spread = self._spread(left, right, sizes)
        return spread - spread // prod(size(self.dims[label], sizes) for label in self.summed)

    def _spread(self, left: Pattern, right: Pattern, sizes: Sizes) -> int:
        held = {self.left[h] for h in left.held} | {self.right[h] for h in right.held}
        return prod(size(self.dims[label], sizes) for label in held)


def product(left: Pattern, right: Pattern) -> Product:
    """The product of d k / d j and d j / d i: the columns of one are the rows of the other."""
    offset = len(left.dims)
    parent = list(range(offset + len(right.dims)))

    def find(label: Label) -> Label:
        while parent[label] != label:
            label = parent[label]
        return label

    for a, b in zip(left.columns, right.rows, strict=True):
        x, y = find(a), find(b + offset)
        parent[max(x, y)] = min(x, y)
    from_left = {label: find(label) for label in range(offset)}
    from_right = {label: find(label + offset) for label in range(len(right.dims))}
    dims: dict[Label, Dim] = {}
    for label, dim in enumerate(left.dims):
        dims[from_left[label]] = dim
    for label, dim in enumerate(right.dims):
        dims.setdefault(from_right[label], dim)
    rows = tuple(from_left[r] for r in left.rows)
    columns = tuple(from_right[c] for c in right.columns)
    held = {from_left[h] for h in left.held} | {from_right[h] for h in right.held}
    inner = {from_left[c] for c in left.columns} - {*rows, *columns}
    pattern, number = Pattern.of(
        rows,
        columns,
        frozenset(held - inner),
        dims,
        free=left.free and right.free and not inner,
        contracts=left.contracts or right.contracts,
    )
    repeated = tuple(dims[label] for label in sorted(inner - held) if dims[label] != 1)
    return Product(pattern, from_left, from_right, number, frozenset(inner & held), repeated, dims)


def total(left: Pattern, right: Pattern) -> Pattern | None:
    """The pattern of a sum of two partials; None where they are to stay two terms."""
    if (left.rows, left.columns) != (right.rows, right.columns):
        return None
    return Pattern(
        left.rows, left.columns, left.held | right.held, left.dims, False,
        left.contracts and right.contracts,
    )  # fmt: skip


_LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

Letters = tuple[str, str, str]
"""A letter for each axis: of the output, of the input, and of the array of a term."""


def letters(pattern: Pattern) -> Letters:
    """Letters for the labels of a pattern: those that axes begin with, where these differ."""
    free = [letter for letter in _LETTERS if letter not in map(_first, pattern.dims)]
    found: dict[Label, str] = {}
    for label, dim in enumerate(pattern.dims):
        first = _first(dim)
        found[label] = first if first and first not in found.values() else free.pop(0)

    def spelled(labels: Sequence[Label]) -> str:
        return "".join(found[label] for label in labels)

    return spelled(pattern.rows), spelled(pattern.columns), spelled(sorted(pattern.held))


def _first(dim: Dim) -> str:
    """The letter that the name of an axis begins with, if it is a plain one."""
    named = multiple(dim)
    return named[1][0] if named is not None and named[1][0] in _LETTERS else ""


def arrow(pattern: Pattern) -> str:
    """Which axes of a target hang on which of a source: `bn <- bm`, for short."""
    rows, columns, _ = letters(pattern)
    return f"{rows or '1'} <- {columns or '1'}"


def described(pattern: Pattern) -> str:
    """The same, and along which axes the values that are stored vary."""
    held = letters(pattern)[2]
    return f"{arrow(pattern)}, {f'stored along {held}' if held else 'a number'}"
