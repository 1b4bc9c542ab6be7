"""The import statements that carried code needs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterable

from gradgen.ir.imports import imported_names


def imports_of(texts: Iterable[str], source: str) -> set[str]:
    """The source's import statements, one name each, that bind what the texts use."""
    bound = imported_names(source)
    used = {
        node.id
        for text in texts
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Name)
    }
    return {bound[name] for name in used if name in bound}


def sort_imports(statements: Iterable[str]) -> list[str]:
    """Import statements in lines: the standard library, an empty line, the rest."""
    merged: dict[str, list[str]] = {}
    plain: list[str] = []
    for statement in statements:
        if statement.startswith("from "):
            head, _, name = statement.partition(" import ")
            merged.setdefault(head, []).append(name)
        else:
            plain.append(statement)
    lines = sorted(plain) + sorted(
        f"{head} import {', '.join(sorted(names))}" for head, names in merged.items()
    )
    standard = [line for line in lines if _package(line) in sys.stdlib_module_names]
    others = [line for line in lines if line not in standard]
    return [*standard, *([""] if standard and others else []), *others]


def _package(statement: str) -> str:
    return statement.split()[1].split(".")[0]
