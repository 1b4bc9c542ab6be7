"""Counts operations in generated text, by Python's syntax tree alone.

It shares the rule of what counts with `gradgen.ir.operations`, and nothing with the printer.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from gradgen.ir.operations import OPERATIONS, integer_pow_multiplications

_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div",
    ast.BitAnd: "compare", ast.BitOr: "compare", ast.BitXor: "compare",
    ast.LShift: "other", ast.RShift: "other", ast.Mod: "other",
}  # fmt: skip
_FREE = {
    "abs", "sign", "asarray", "astype", "finfo", "result_type", "full", "shape",
    "broadcast_shapes", "broadcast_to", "_alike", "reduce_precision", "stop_gradient",
    "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
}  # fmt: skip
_CALLS = {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "div", "negative": "neg",
    "square": "mul", "where": "select", "fmod": "other", "maximum": "other", "minimum": "other",
    "isnan": "compare", "isfinite": "compare", "equal": "compare", "not_equal": "compare",
    "less": "compare", "less_equal": "compare", "greater": "compare", "greater_equal": "compare",
    "bitwise_and": "compare", "bitwise_or": "compare", "bitwise_xor": "compare",
    "bitwise_not": "compare", "isinf": "compare",
}  # fmt: skip
_NOT_FREE = ("neg", "compare", "select")


@dataclass(frozen=True)
class Recount:
    """How many operations a function's text holds."""

    counts: Counter[str]
    ambiguous: int
    """Selections of 1.0 or 0.0, which may be conversions of truth values."""

    @property
    def total(self) -> int:
        """What a budget is about: all but sign changes, comparisons and selections."""
        return sum(n for kind, n in self.counts.items() if kind not in _NOT_FREE)

    def differs_from(self, stated: dict[str, int]) -> str | None:
        """Where it differs from counts by kind with their total; None if it agrees."""
        for kind in sorted({*self.counts, *stated} - {"total"}):
            ours, theirs = self.counts[kind], stated.get(kind, 0)
            slack = self.ambiguous if kind == "select" else 0
            if not ours - slack <= theirs <= ours:
                return f"{kind}: {ours} in the text, {theirs} stated"
        if self.total != stated["total"]:
            return f"total: {self.total} in the text, {stated['total']} stated"
        return None


def recount(text: str) -> dict[str, Recount]:
    """The operations of every function of a module's top level, by name."""
    return {
        node.name: _count(node)
        for node in ast.parse(text).body
        if isinstance(node, ast.FunctionDef)
    }


def _count(function: ast.FunctionDef) -> Recount:
    counts: Counter[str] = Counter()
    ambiguous = 0
    for statement in function.body:
        for node in _expressions(statement):
            counts.update(kinds_of(node))
            ambiguous += is_indicator(node)
    return Recount(counts, ambiguous)


def _expressions(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a statement, each once."""
    yield node
    for child in ast.iter_child_nodes(node):
        yield from _expressions(child)


def kinds_of(node: ast.AST) -> Iterator[str]:
    """What one node counts as."""
    match node:
        case ast.BinOp(op=ast.Pow()):
            yield from _power(node.right)
        case ast.BinOp(op=ast.Mult(), right=ast.Constant(value=1.0)):
            return  # a conversion to a weakly typed float
        case ast.BinOp() if not _is_number(node):
            yield _BINARY[type(node.op)]
        case ast.UnaryOp(op=ast.USub()) if not _is_number(node.operand):
            yield "neg"
        case ast.UnaryOp(op=ast.Invert()):
            yield "compare"
        case ast.Compare():
            yield from ["compare"] * len(node.ops)
        case ast.Call():
            yield from _call(node)


def _is_number(node: ast.expr) -> bool:
    """Whether Python has the number when it has read the text."""
    match node:
        case ast.Attribute():
            return node.attr in ("inf", "nan", "pi")
        case ast.BinOp():
            return _is_number(node.left) and _is_number(node.right)
        case ast.UnaryOp(op=ast.USub()):
            return _is_number(node.operand)
    return isinstance(node, ast.Constant)


def _power(exponent: ast.expr) -> Iterator[str]:
    negative = isinstance(exponent, ast.UnaryOp) and isinstance(exponent.op, ast.USub)
    if negative and isinstance(exponent, ast.UnaryOp):
        exponent = exponent.operand
    if isinstance(exponent, ast.Constant) and type(exponent.value) is int:
        yield from ["mul"] * integer_pow_multiplications(exponent.value)
        if negative:
            yield "div"
    else:
        yield "transcendental"


def _call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func).rpartition(".")[2].rstrip("_")
    if name in _FREE:
        return
    if name == "_larger":
        yield from ("compare", "compare", "select", "select")
    elif name == "clip":
        yield from ("other", "other")
    elif name in ("sigmoid", "logistic"):
        yield from ("transcendental", "add", "div")
    elif name == "integer_pow":
        yield from _power(node.args[1])
    elif name in _CALLS:
        yield _CALLS[name]
    else:
        known = OPERATIONS.get(name)
        kind = "transcendental" if known is None else known.kind
        if kind != "free":
            yield "mul" if kind == "pow" else kind


def is_indicator(node: ast.AST) -> bool:
    """`jnp.where(p, 1.0, 0.0)`."""
    if not isinstance(node, ast.Call) or ast.unparse(node.func) != "jnp.where":
        return False
    return len(node.args) == 3 and [ast.unparse(a) for a in node.args[1:]] == ["1.0", "0.0"]
