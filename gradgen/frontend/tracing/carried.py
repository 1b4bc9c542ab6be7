"""Whether a generated file can have a class of the source's: the caller's own, or carried over."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from gradgen.errors import GradgenError, error_in
from gradgen.ir.imports import imported_names
from gradgen.ir.own_names import BUILTINS
from gradgen.ir.pytree import Structure
from gradgen.ir.source import Source
from gradgen.ir.trace import Argument


def require_available(
    source: Source, kind: type, arguments: Sequence[Argument], classes: Mapping[str, type]
) -> None:
    """Raise GradgenError if a generated file could not build an instance of a class."""
    name = kind.__name__
    known = classes.get(name) is kind
    if known and any(name in _class_names(argument.structure) for argument in arguments):
        return
    text = next((c.text for c in source.containers if c.name == name and known), None)
    if text is None:
        raise _refused(
            source,
            f"'{source.function}' returns an instance of {name}, which a generated file cannot "
            "build",
            f"define {name} at the top level of the source file, under that name, or return a "
            "tuple",
        )
    carried = {container.name for container in source.containers}
    there = {*BUILTINS, *carried, *imported_names(source.text)}
    missing = [each for each in _names_read(ast.parse(text)) if each not in there]
    if missing:
        raise _refused(
            source,
            f"the class {name} is carried over into the generated file, and needs "
            f"'{missing[0]}', which is not",
            f"write what '{missing[0]}' stands for into the class, or return a tuple",
        )


def _class_names(structure: Structure) -> Iterator[str]:
    if structure.type_name is not None:
        yield structure.type_name
    for child in structure.children:
        yield from _class_names(child)


def _names_read(node: ast.AST) -> Iterator[str]:
    """The names that a class reads while it is made: not those in its functions."""
    bound = {
        n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    waiting: list[ast.AST] = [node]
    while waiting:
        found = waiting.pop()
        if isinstance(found, ast.Name) and found.id not in bound:
            yield found.id
        if isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
            waiting += [*found.decorator_list, *found.args.defaults]
        elif not isinstance(found, ast.Lambda):
            waiting += ast.iter_child_nodes(found)


def _refused(source: Source, message: str, hint: str) -> GradgenError:
    place = source.position
    return error_in(source, message, hint=hint, at=place)
