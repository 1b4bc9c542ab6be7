"""How the kinds of partials combine, and what a product costs."""

from __future__ import annotations

from gradgen.ir.graph import PartialKind


def product_kind(left: PartialKind, right: PartialKind) -> PartialKind:
    """The kind of a product of two partials."""
    if left == "unit":
        return right
    if right == "unit":
        return left
    if left == right and left in ("constant", "mask"):
        return left
    return "variable"


def sum_kind(left: PartialKind, right: PartialKind) -> PartialKind:
    """The kind of a sum of two partials."""
    known = ("unit", "constant")
    return "constant" if left in known and right in known else "variable"


def is_free(left: PartialKind, right: PartialKind) -> bool:
    """Whether a product needs no multiplication: a unit or mask factor, or two constants."""
    trivial = ("unit", "mask")
    return left in trivial or right in trivial or left == right == "constant"
