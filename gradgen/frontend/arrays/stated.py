"""The shapes that a source states: directives, and what they say of each leaf."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from gradgen.errors import GradgenError
from gradgen.frontend.reading.directives import parse_shape, parse_size
from gradgen.frontend.tracing.jax_compat import Aval
from gradgen.frontend.tracing.signature import Leaf, Signature
from gradgen.ir.code import DType
from gradgen.ir.pytree import Structure, join, mapping, sequence
from gradgen.ir.shapes import LEADING, Dim, Shape, axes_in, multiple, own_axes, shape_as_stated
from gradgen.ir.source import Directive, Source

_TAKEN = frozenset(
    {*keyword.kwlist, LEADING, "jax", "jnp", "lax", "np", "int", "min", "max", "mod", "floordiv"}
)
"""What stands for something else in a formula, or in the code that is written."""
_NAMED = re.compile(r"(?:(\d+)\s*\*\s*)?([^\W\d_]\w*|_\w+)")


@dataclass(frozen=True)
class Stated:
    """What is stated of a source's leaves, in their order."""

    shapes: tuple[Shape, ...]
    dtypes: tuple[DType, ...]
    """`float` where the precision is open, else `int`, `bool` or a fixed dtype."""
    exampled: frozenset[int]
    """The numbers of the leaves whose shapes are those of an example, nothing else being said."""
    sizes: tuple[tuple[str, int], ...] = ()
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


@dataclass(frozen=True)
class _Statement:
    """What a directive, or an annotation, says of one leaf."""

    path: str
    shape: Shape
    dtype: DType
    directive: Directive

    def pretty(self) -> str:
        """As directives have it."""
        return _shown(self.shape, self.dtype)

    def contradicts(self, shape: Shape, dtype: DType) -> bool:
        """Whether a leaf cannot be of this shape and dtype as well."""
        own, other = own_axes(self.shape), own_axes(shape)
        pairs = zip(reversed(own), reversed(other), strict=False)
        numbers = any(a != b and isinstance(a, int) and isinstance(b, int) for a, b in pairs)
        open_ended = LEADING in self.shape and (LEADING in shape or len(own) <= len(other))
        ranks = len(self.shape) != len(shape) and not open_ended
        return numbers or ranks or _kind(self.dtype) != _kind(dtype)


def has_shapes(source: Source) -> bool:
    """Whether a source states shapes, so that it is one on arrays."""
    return any(d.kind == "shape" for d in source.directives)


def may_have_shapes(source: Source, signature: Signature) -> bool:
    """Whether annotations or an example tell of arrays, in case that it is one on arrays."""
    exampled = any(leaf.given is not None and leaf.given.shape for leaf in signature.leaves)
    return exampled or any("=()" not in directive.text for directive in source.annotated)


def read_stated(source: Source, signature: Signature) -> Stated:
    """The shapes and dtypes of all leaves; those that nothing is said of are single numbers.

    A directive goes before an annotation, and that before an example.
    Raises GradgenError for a path that is no leaf, for an axis that is none, and where one of them
    contradicts another.
    """
    leaves = {leaf.path: leaf for leaf in signature.leaves}
    directives = [d for d in source.directives if d.kind == "shape"]
    _require_leaves(source, signature, directives)
    directed = {s.path: s for d in directives for s in _statements(source, d, leaves)}
    annotated = {}
    for directive in source.annotated:
        path = directive.text.partition("=")[0]
        if path in directed:
            _require_annotated(source, directed[path], directive, leaves)
        elif path in leaves:
            (annotated[path],) = _statements(source, directive, leaves)
    stated = annotated | directed
    _require_example(source, stated.values(), leaves)
    _require_defaults(source, signature, stated)
    shapes, dtypes = [], []
    for leaf in signature.leaves:
        said = stated.get(leaf.path, leaf.given)
        shapes.append(() if said is None else said.shape)
        dtypes.append(leaf.kind if said is None else said.dtype)
    return Stated(
        tuple(shapes),
        tuple(dtypes),
        frozenset(k for k, x in enumerate(signature.leaves) if x.given and x.path not in stated),
    )


def _statements(
    source: Source, directive: Directive, leaves: Mapping[str, Leaf]
) -> list[_Statement]:
    found = []
    try:
        for path, axes, dtype in parse_shape(directive.text):
            shape = (LEADING, *map(_axis, axes[1:])) if axes[:1] == ("...",) else map(_axis, axes)
            found.append(_Statement(path, tuple(shape), dtype or leaves[path].kind, directive))
    except GradgenError as error:
        if directive in source.annotated:
            path = directive.text.partition("=")[0]
            error.hint = f"state it with a directive, as in # gradgen: shape {path}=(batch, n)"
        raise _placed(error, source, directive) from None
    return found


def with_sizes(source: Source, stated: Stated) -> Stated:
    """With what directives say of how large the axes are, for counting.

    Raises GradgenError for a name that is no axis.
    """
    axes = axes_in(stated.shapes)
    sizes: dict[str, int] = {}
    for directive in source.directives:
        if directive.kind == "size":
            try:
                sizes |= parse_size(directive.text)
                for name in sizes:
                    _require_axis(name, axes)
            except GradgenError as error:
                raise _placed(error, source, directive) from None
    return replace(stated, sizes=tuple(sizes.items()))


def _require_axis(name: str, axes: Sequence[str]) -> None:
    if name not in axes:
        raise GradgenError(
            f"there is a size for '{name}', which is no axis",
            hint=f"the axes are {', '.join(axes)}" if axes else None,
        )


def _require_annotated(
    source: Source, statement: _Statement, directive: Directive, leaves: Mapping[str, Leaf]
) -> None:
    """Refuse a directive where the annotation of the same leaf says another thing.

    An annotation whose axes are none says nothing, and a directive is what it needs.
    """
    try:
        (annotated,) = _statements(source, directive, leaves)
    except GradgenError:
        return
    if statement.contradicts(annotated.shape, annotated.dtype):
        raise _contradicted(source, statement, f"its annotation says {annotated.pretty()}")


def _require_example(
    source: Source, statements: Iterable[_Statement], leaves: Mapping[str, Leaf]
) -> None:
    """Refuse what is stated where the example arguments are others."""
    sizes: dict[str, tuple[int, str]] = {}
    for statement in statements:
        given = leaves[statement.path].given
        if given is None:
            continue
        if statement.contradicts(given.shape, given.dtype):
            shown = f"the example's is {_shown(given.shape, given.dtype)}"
            raise _contradicted(source, statement, shown)
        own = own_axes(statement.shape)
        for dim, number in zip(own, given.shape[len(given.shape) - len(own) :], strict=True):
            factor, name = multiple(dim) or (number, "")
            size, first = sizes.setdefault(name, (number // factor, statement.path))
            if factor * size != number and name:
                raise _contradicted(
                    source,
                    statement,
                    f"the example's is {_shown(given.shape, given.dtype)}, where '{name}' cannot "
                    f"be {size} as in '{first}'",
                )


def _require_defaults(
    source: Source, signature: Signature, stated: Mapping[str, _Statement]
) -> None:
    """Refuse axes of an argument whose default value is a number."""
    for argument in signature.arguments:
        if argument.default in (None, "None"):
            continue
        for path, _ in argument.structure.leaves(argument.name):
            if path in stated and own_axes(stated[path].shape):
                error = GradgenError(
                    f"the shape of '{path}' is stated as {stated[path].pretty()}, and its default "
                    "value is a number",
                    hint=f"take the default value out of the source, or state no axes: {path}=()",
                )
                raise _placed(error, source, stated[path].directive)


def _contradicted(source: Source, statement: _Statement, other: str) -> GradgenError:
    error = GradgenError(
        f"the shape of '{statement.path}' is stated as {statement.pretty()}, and {other}",
        hint="let both say the same, or leave out one of them",
    )
    return _placed(error, source, statement.directive)


def _shown(shape: Shape, dtype: DType) -> str:
    return shape_as_stated(shape) + ("" if dtype == "float" else f":{dtype}")


def _kind(dtype: DType) -> DType:
    return dtype if dtype in ("float", "bool", "key") else "int"


def _require_leaves(source: Source, signature: Signature, directives: Sequence[Directive]) -> None:
    """Refuse shapes of what is no leaf of an argument."""
    stated: dict[str, Directive] = {}
    try:
        for directive in directives:
            stated |= {path: directive for path, _, _ in parse_shape(directive.text)}
        for path, directive in stated.items():  # noqa: B007
            _require_leaf(path, signature, stated)
    except GradgenError as error:
        raise _placed(error, source, directive) from None


def _require_leaf(path: str, signature: Signature, stated: Iterable[str]) -> None:
    leaves = [leaf.path for leaf in signature.leaves]
    if path in leaves:
        return
    inside = [p for p in leaves if p.startswith(f"{path}.")]
    what = "a container" if inside else "no leaf of an argument"
    hint = f"state it for one of: {', '.join(inside or leaves)}"
    whole = [p for p in leaves if path.startswith(f"{p}.")]
    for argument in signature.arguments:
        if whole and path.partition(".")[0] == argument.name:
            example = _holding(argument.structure, argument.name, stated).pretty()
            hint = (
                f"if '{whole[0]}' holds several arrays, say so above the function: "
                f"# gradgen: example {argument.name}={example}"
            )
    raise GradgenError(f"there is a shape for '{path}', which is {what}", hint=hint)


def _holding(structure: Structure, path: str, stated: Iterable[str]) -> Structure:
    """A structure with a dict or a list for each of its leaves in which paths are stated."""
    if not structure.is_leaf:
        children = tuple(
            _holding(child, join(path, key), stated)
            for key, child in zip(structure.keys, structure.children, strict=True)
        )
        return replace(structure, children=children)
    below = [p.removeprefix(f"{path}.") for p in stated if p.startswith(f"{path}.")]
    keys = dict.fromkeys(p.partition(".")[0] for p in below)
    if not keys:
        return structure
    found = {key: _holding(structure, join(path, key), stated) for key in keys}
    if all(map(str.isdecimal, found)):
        return sequence("list", tuple(found.values()))
    return mapping(tuple(found.items()))


def _axis(text: str) -> Dim:
    if text.isdecimal() and int(text) > 0:
        return int(text)
    named = _NAMED.fullmatch(text)
    if named is None or named[1] == "0":
        raise GradgenError(
            f"{text!r} is not an axis",
            hint="an axis is a name, a number, or a number times a name; '...' in front of all "
            "stands for any number of axes",
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
