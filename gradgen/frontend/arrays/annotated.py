"""The shapes that jaxtyping annotations state: `Float[Array, "n_in n"]`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from gradgen.ir.shapes import written
from gradgen.ir.source import Directive, Source

_DTYPES = {
    "Float": "", "Float16": "", "Float32": "", "Float64": "", "BFloat16": "", "Inexact": "",
    "Real": "", "Num": "",
    "Int": ":int", "Integer": ":int", "Int32": ":int32", "Int64": ":int64",
    "UInt32": ":uint32", "UInt8": ":uint8", "Bool": ":bool", "Key": ":key",
}  # fmt: skip
"""What is written after the axes, by the name of the annotation."""
_AXIS = re.compile(r"(\d+\*)?[^\W\d]\w*|\d+")


def annotated_shapes(source: Source) -> Directive | None:
    """A directive with all shapes that the function's annotations state; None if there are none."""
    found = dict(_annotated(source))
    if not any(axes for axes, _ in found.values()):
        return None
    shown = " ".join(f"{name}={written(axes)}{dtype}" for name, (axes, dtype) in found.items())
    return Directive("shape", shown, source.position)


def _annotated(source: Source) -> Iterator[tuple[str, tuple[tuple[str, ...], str]]]:
    tree = ast.parse(source.text)
    # aliases stand under `if TYPE_CHECKING` as well
    conditional = [part for node in tree.body if isinstance(node, ast.If) for part in node.body]
    aliases = {
        target.id: node.value
        for node in (*tree.body, *conditional)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name == source.function:
            for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs):
                annotation = argument.annotation
                if isinstance(annotation, ast.Name):
                    annotation = aliases.get(annotation.id, annotation)
                stated = _stated(annotation)
                if stated is not None:
                    yield argument.arg, stated


def _stated(annotation: ast.expr | None) -> tuple[tuple[str, ...], str] | None:
    """The axes and the dtype of one annotation; None if it is no such annotation."""
    match annotation:
        case ast.Subscript(
            value=ast.Name(id=name) | ast.Attribute(attr=name),
            slice=ast.Tuple(elts=[_, ast.Constant(value=str() as axes)]),
        ) if name in _DTYPES:
            parts = tuple(axes.split())
            if all(map(_AXIS.fullmatch, parts)):
                return parts, _DTYPES[name]
    return None
