"""Sizes of axes as JAX has them, and as the code that is generated writes them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from gradgen.ir.shapes import Dim, Shape

_OPERATORS = {"floordiv": ast.FloorDiv(), "mod": ast.Mod()}


def dim_of(size: Any) -> Dim:
    """A size as a number or a Python expression."""
    return int(size) if isinstance(size, int) else _written(str(size))


def shape_of(sizes: Iterable[Any]) -> Shape:
    """A shape as numbers and Python expressions."""
    return tuple(map(dim_of, sizes))


@lru_cache(maxsize=4096)
def _written(text: str) -> Dim:
    if text.isdecimal():
        return int(text)
    if re.fullmatch(r"(\d+\*)?\w+", text):
        return text
    return ast.unparse(_Python().visit(ast.parse(text.replace("^", "**"), mode="eval")))


class _Python(ast.NodeTransformer):
    """Functions of JAX's symbols as Python's operators."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        assert isinstance(node.func, ast.Name)
        operator = _OPERATORS.get(node.func.id)
        return node if operator is None else ast.BinOp(node.args[0], operator, node.args[1])
