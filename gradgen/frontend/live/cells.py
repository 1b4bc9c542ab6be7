"""The cells of a notebook or session: Python keeps their texts, as it does those of files."""

from __future__ import annotations

import ast
import inspect
import linecache
import os
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType
from typing import Any

from gradgen.frontend.live.function import unwrapped
from gradgen.ir.source import normalised


@dataclass(frozen=True, eq=False)
class CellStatement:
    """A statement at the top level of a cell, with the comments right above it."""

    path: str
    """Of the cell, as code objects have it."""
    first: int
    last: int
    node: ast.stmt
    text: str


def function_statement(function: FunctionType) -> CellStatement | None:
    """The statement that defines a function; None if its text is not known, or if it is nested."""
    try:
        lines, _ = inspect.findsource(function)
    except (OSError, TypeError):
        return None
    line = function.__code__.co_firstlineno
    for found in _statements(function.__code__.co_filename, "".join(lines)):
        if isinstance(found.node, ast.FunctionDef) and found.first <= line <= found.last:
            return found if found.node.name == function.__name__ else None
    return None


def class_statement(name: str, kind: type) -> CellStatement | None:
    """The statement that defines a class of a session; the last one that has the same fields.

    It may also be an assignment: `State = namedtuple("State", "v i")`.
    """
    fields = set(vars(kind).get("__annotations__", {}))
    best = None
    for found in session_statements():
        match found.node:
            case ast.ClassDef(name=defined, body=body) if defined == name:
                annotated = {
                    part.target.id
                    for part in body
                    if isinstance(part, ast.AnnAssign) and isinstance(part.target, ast.Name)
                }
                best = found if annotated == fields else best
            case ast.Assign(targets=[ast.Name(id=defined)], value=ast.Call()) if defined == name:
                best = found
    return best


def statements_about(name: str, namespace: dict[str, Any]) -> tuple[CellStatement, ...]:
    """What is said of a function or class once it is there.

    These are its rules (`@spike.defjvp`, `spike.defvjp(...)`) and registrations
    (`register_dataclass(State, ...)`); of those that cells repeat the last ones.
    """
    found: dict[str, CellStatement] = {}
    for statement in session_statements():
        match statement.node:
            case ast.FunctionDef(name=rule, decorator_list=decorators) if any(
                _root(decorator) == name for decorator in decorators
            ):
                plain = unwrapped(namespace.get(rule))
                if isinstance(plain, FunctionType) and _defines(statement, plain):
                    found[rule] = statement
            case ast.Expr(value=ast.Call(func=called)) if _root(called) == name:
                found[ast.unparse(called)] = statement
            case ast.Expr(value=ast.Call(func=called, args=[ast.Name(id=first), *_])) if (
                first == name and ast.unparse(called).rpartition(".")[2].startswith("register_")
            ):
                found[ast.unparse(called)] = statement
    return tuple(found.values())


def shown_cell(path: str) -> str:
    """What people call a cell: `Cell In[3]` where IPython runs it, else its path."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    named = None if shell is None else shell.compile.format_code_name(path)
    return path if named is None else " ".join(named)


def session_statements() -> Iterator[CellStatement]:
    """The statements of all texts that are known and are no files, the oldest cell first."""
    for path, entry in tuple(linecache.cache.items()):
        # cells have no time at which they were changed
        if len(entry) == 4 and entry[1] is None and not os.path.exists(path):
            yield from _statements(path, "".join(entry[2]))


def names_in(node: ast.AST) -> tuple[str, ...]:
    """The names that a statement reads, in the order in which they first stand there."""
    named = [n for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    named.sort(key=lambda n: (n.lineno, n.col_offset))
    return tuple(dict.fromkeys(n.id for n in named))


@lru_cache(maxsize=1000)
def _statements(path: str, text: str) -> tuple[CellStatement, ...]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return ()
    lines = normalised(text).split("\n")
    return tuple(_statement(path, lines, node) for node in tree.body)


def _statement(path: str, lines: list[str], node: ast.stmt) -> CellStatement:
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    while first > 1 and lines[first - 2].startswith("#"):
        first -= 1
    last = node.end_lineno or node.lineno
    return CellStatement(path, first, last, node, "\n".join(lines[first - 1 : last]))


def _defines(statement: CellStatement, function: FunctionType) -> bool:
    code = function.__code__
    return code.co_filename == statement.path and (
        statement.first <= code.co_firstlineno <= statement.last
    )


def _root(node: ast.expr) -> str | None:
    """`spike` for `spike.defjvp` and for calls of it."""
    match node:
        case ast.Attribute(value=ast.Name(id=name)):
            return name
        case ast.Call(func=function):
            return _root(function)
    return None
