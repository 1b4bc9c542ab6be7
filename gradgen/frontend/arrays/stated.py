"""The shapes that a source states: directives, and what they say of each leaf."""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from gradgen.errors import GradgenError
from gradgen.frontend.reading.directives import parse_shape, parse_size
from gradgen.frontend.tracing.arguments import Leaf, Signature
from gradgen.frontend.tracing.jax_compat import Aval
from gradgen.ir.code import DType
from gradgen.ir.shapes import Dim, Shape, axes_in, multiple
from gradgen.ir.source import Directive, Source

_TAKEN = frozenset(
    {*keyword.kwlist, "jax", "jnp", "lax", "np", "int", "min", "max", "mod", "floordiv"}
)
"""What stands for something else in a formula, or in the code that is written."""
_NAMED = re.compile(r"(?:(\d+)\s*\*\s*)?([^\W\d]\w*)")


@dataclass(frozen=True)
class Stated:
    """What is stated of a source's leaves, in their order."""

    shapes: tuple[Shape, ...]
    dtypes: tuple[DType, ...]
    """`float` where the precision is open, else `int`, `bool` or a fixed dtype."""
    sizes: tuple[tuple[str, int], ...]
    """What axes count for, as far as it is said."""

    def avals(self, working: str) -> list[Aval]:
        """Stand-ins for the leaves in one precision, their sizes symbols of one scope."""
        names = axes_in(self.shapes)
        symbols = dict(zip(names, export.symbolic_shape(", ".join(names)), strict=True))
        fixed: dict[str, Any] = {"float": working, "int": str(jnp.result_type(int))}
        if "key" in self.dtypes:
            fixed["key"] = jax.random.key(0).dtype
        return [
            jax.ShapeDtypeStruct(  # type: ignore[no-untyped-call]
                tuple(_symbolic(dim, symbols) for dim in shape), fixed.get(dtype, dtype)
            )
            for shape, dtype in zip(self.shapes, self.dtypes, strict=True)
        ]


def has_shapes(source: Source) -> bool:
    """Whether a source states shapes, so that it is one on arrays."""
    return any(d.kind == "shape" for d in source.directives)


def read_stated(source: Source, signature: Signature) -> Stated:
    """The shapes and dtypes of all leaves; those that nothing is said of are single numbers.

    Raises GradgenError for a path that is no leaf, or an axis that is none.
    """
    given: dict[str, tuple[Shape, DType | None]] = {}
    sizes: dict[str, int] = {}
    places: dict[str, Directive] = {}
    leaves = {leaf.path: leaf for leaf in signature.leaves}
    for directive in source.directives:
        try:
            if directive.kind == "shape":
                for path, axes, dtype in parse_shape(directive.text):
                    _require_leaf(path, leaves)
                    given[path] = tuple(map(_axis, axes)), dtype
            elif directive.kind == "size":
                sizes |= dict(parse_size(directive.text))
                places |= {name: directive for name, _ in parse_size(directive.text)}
        except GradgenError as error:
            raise _placed(error, source, directive) from None
    shapes, dtypes = [], []
    for leaf in signature.leaves:
        shape, dtype = given.get(leaf.path, ((), None))
        shapes.append(shape)
        dtypes.append(dtype or ("float" if leaf.kind == "float" else leaf.kind))
    known = axes_in(shapes)
    for name in sizes:
        if name not in known:
            unknown = GradgenError(
                f"there is a size for '{name}', which is no axis",
                hint=f"the axes are {', '.join(known)}" if known else None,
            )
            raise _placed(unknown, source, places[name])
    return Stated(tuple(shapes), tuple(dtypes), tuple(sizes.items()))


def _require_leaf(path: str, leaves: Mapping[str, Leaf]) -> None:
    if path in leaves:
        return
    inside = [p for p in leaves if p.startswith(f"{path}.")]
    known = ", ".join(inside or leaves)
    what = "a container" if inside else "no leaf of an argument"
    raise GradgenError(
        f"there is a shape for '{path}', which is {what}", hint=f"state it for one of: {known}"
    )


def _axis(text: str) -> Dim:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    named = _NAMED.fullmatch(text)
    if named is None or named[1] == "0":
        raise GradgenError(
            f"{text!r} is not an axis", hint="an axis is a name, a number, or a number times a name"
        )
    if named[2] in _TAKEN:
        raise GradgenError(
            f"an axis cannot be called '{named[2]}', which code has another use for",
            hint=f"call it otherwise, as in n_{named[2]}",
        )
    return named[2] if named[1] in (None, "1") else f"{int(named[1])}*{named[2]}"


def _symbolic(dim: Dim, symbols: Mapping[str, Any]) -> Any:
    found = multiple(dim)
    return dim if found is None else found[0] * symbols[found[1]]


def _placed(error: GradgenError, source: Source, directive: Directive) -> GradgenError:
    place = directive.position
    if place.line:
        return error.located(source.path, place.line, place.column)
    error.about = directive.kind
    return error
