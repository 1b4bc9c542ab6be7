"""The shapes that jaxtyping annotations state: `Float[Array, "n_in n"]`, in classes too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import libcst as cst

from gradgen.frontend.reading.annotations import Annotations
from gradgen.frontend.reading.syntax import Syntax, last_name
from gradgen.frontend.reading.target import SourceFunction
from gradgen.ir.shapes import written
from gradgen.ir.source import Directive, Position

_DTYPES = {
    "Float": ":float", "Float16": ":float", "Float32": ":float", "Float64": ":float",
    "BFloat16": ":float", "Inexact": ":float",
    "Real": "", "Num": "",
    "Int": ":int", "Integer": ":int", "Int32": ":int32", "Int64": ":int64",
    "UInt32": ":uint32", "UInt8": ":uint8", "Bool": ":bool", "Key": ":key",
}  # fmt: skip
"""What is written after the axes, by the name of the annotation."""
_ONE_KEY = "PRNGKeyArray"


def annotated_shapes(
    syntax: Syntax, target: SourceFunction, annotations: Annotations
) -> tuple[Directive, ...]:
    """What shape directives would say of the leaves whose annotations do, one for each of them.

    What stands between the quotes is taken as it is, so that axes need not be any.
    """
    reader = _Reader(syntax, annotations)
    return tuple(
        directive
        for parameter in target.declared
        if parameter.annotation is not None
        for directive in reader.stated(
            parameter.annotation.annotation, parameter.name.value, syntax.position(parameter.name)
        )
    )


@dataclass(frozen=True, eq=False)
class _Reader:
    syntax: Syntax
    annotations: Annotations

    def stated(
        self,
        node: cst.BaseExpression | None,
        path: str,
        place: Position,
        within: frozenset[str] = frozenset(),
    ) -> Iterator[Directive]:
        """What one annotation says of the leaves at a path; `within` are names being resolved."""
        if node is not None and node in self.syntax.ranges:
            place = self.syntax.position(node)
        match node:
            case cst.SimpleString():
                parsed = self.annotations.unquoted(node)
                yield from self.stated(parsed, path, place, within)
            case cst.Name(value=name) if name not in within:
                within |= {name}
                definition = self.annotations.definitions.get(name)
                for field in () if definition is None else definition.fields:
                    if not field.static:
                        inner = f"{path}.{field.name}"
                        yield from self.stated(field.annotation, inner, place, within)
                alias = self.annotations.aliases.get(name)
                if definition is None and alias is not None:
                    yield from self.stated(alias, path, place, within)
                elif definition is None and name == _ONE_KEY:
                    yield Directive("shape", f"{path}=():key", place)
            case cst.Attribute(attr=cst.Name(value=name)) if name == _ONE_KEY:
                yield Directive("shape", f"{path}=():key", place)
            case (
                cst.BinaryOperation(left=part, operator=cst.BitOr(), right=cst.Name(value="None"))
                | cst.BinaryOperation(left=cst.Name(value="None"), operator=cst.BitOr(), right=part)
            ):
                yield from self.stated(part, path, place, within)
            case cst.Subscript(value=value, slice=slices):
                parts = [each.slice.value for each in slices if isinstance(each.slice, cst.Index)]
                yield from self._subscripted(last_name(value), parts, path, place, within)

    def _subscripted(
        self,
        name: str | None,
        parts: list[cst.BaseExpression],
        path: str,
        place: Position,
        within: frozenset[str],
    ) -> Iterator[Directive]:
        match parts:
            case [_, cst.SimpleString() as axes] if name in _DTYPES:
                shape = written(str(axes.evaluated_value).split())
                yield Directive("shape", f"{path}={shape}{_DTYPES[name]}", place)
            case [part] if name == "Optional":
                yield from self.stated(part, path, place, within)
            case [*_] if name in ("tuple", "Tuple"):
                for number, part in enumerate(parts):
                    yield from self.stated(part, f"{path}.{number}", place, within)
