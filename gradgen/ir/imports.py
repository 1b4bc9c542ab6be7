"""The import statements of a source, by the names that they bind."""

from __future__ import annotations

import ast


def imported_names(source: str) -> dict[str, str]:
    """For each name that is imported at the top level, a statement that imports it alone."""
    bound: dict[str, str] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            for alias in node.names:
                name = alias.asname or alias.name.split(".")[0]
                renamed = f" as {alias.asname}" if alias.asname else ""
                statement = f"import {alias.name}{renamed}"
                if isinstance(node, ast.ImportFrom):
                    statement = f"from {'.' * node.level}{node.module or ''} {statement}"
                bound[name] = statement
    return bound
