"""What the target calls the parts of its arguments: `v, i = state` names two leaves."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from gradgen.ir.pytree import join


def read_leaf_names(text: str, line: int, parameters: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Names by dotted path (`state.0`), from assignments of parts of parameters to plain names.

    The first name of a path counts. `text` must be valid Python, the function's `def` in `line`.
    """
    roots = set(parameters)
    found: dict[str, str] = {}
    for definition in ast.walk(ast.parse(text)):
        if not isinstance(definition, ast.FunctionDef) or definition.lineno != line:
            continue
        for statement in definition.body:
            if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
                _assign(statement.targets[0], statement.value, roots, found)
    return tuple(found.items())


def _assign(target: ast.expr, value: ast.expr, roots: set[str], found: dict[str, str]) -> None:
    path = _path(value, roots)
    if path is not None:
        _name(target, path, found)
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        for part, part_value in zip(target.elts, value.elts, strict=False):
            _assign(part, part_value, roots, found)


def _path(node: ast.expr, roots: set[str]) -> str | None:
    """The dotted path of an expression such as `state[0].v`; None if it is something else."""
    match node:
        case ast.Name(id=name) if name in roots:
            return name
        case ast.Attribute(value=inner, attr=key):
            parent = _path(inner, roots)
        case ast.Subscript(value=inner, slice=ast.Constant(value=int() | str() as key)):
            parent = _path(inner, roots)
        case _:
            return None
    return None if parent is None else join(parent, str(key))


def _name(target: ast.expr, path: str, found: dict[str, str]) -> None:
    match target:
        case ast.Name(id=name) if "." in path:
            found.setdefault(path, name)
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            for position, part in enumerate(parts):
                _name(part, f"{path}.{position}", found)
