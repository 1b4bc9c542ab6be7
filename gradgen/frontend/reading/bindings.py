"""Where the user's names for values come from: names bound to expressions inside functions."""

from __future__ import annotations

from collections.abc import Iterator

import libcst as cst

from gradgen.frontend.reading.syntax import Syntax, children, elements, walk
from gradgen.ir.source import Assignment, Position


def read_assignments(syntax: Syntax) -> tuple[Assignment, ...]:
    """Every binding of a name to an expression inside any function of the file."""
    return tuple(
        assignment
        for function in _outermost_functions(syntax.module)
        for node in walk(function)
        for assignment in _bound(syntax, node)
    )


def instruction_position(syntax: Syntax, value: cst.BaseExpression) -> Position:
    """The span that CPython gives the instruction that computes a whole expression."""
    span = syntax.position(value)
    if isinstance(value, cst.Tuple) and value.lpar:
        # Its innermost parentheses are its own, those of other expressions are not.
        start, end = syntax.position(value.lpar[-1]), syntax.position(value.rpar[0])
        return Position(start.line, start.column, end.end_line, end.end_column)
    accessed = _accessed(value)
    if accessed is None or _is_call_of_import(syntax, value):
        return span
    attribute = syntax.position(accessed.attr)
    if attribute.line == span.line:
        return span
    # In a chain that is broken over lines, an access or a method call starts at its own name.
    return Position(attribute.line, attribute.column, span.end_line, span.end_column)


def _accessed(value: cst.BaseExpression) -> cst.Attribute | None:
    match value:
        case cst.Attribute():
            return value
        case cst.Call(func=cst.Attribute() as function, args=arguments) if not any(
            argument.star for argument in arguments
        ):
            return function
    return None


def _is_call_of_import(syntax: Syntax, value: cst.BaseExpression) -> bool:
    """Whether this is `module.function(...)`, which CPython does not compile as a method call."""
    match value:
        case cst.Call(func=cst.Attribute(value=cst.Name(value=name))):
            return name in syntax.imports
    return False


def _outermost_functions(node: cst.CSTNode) -> Iterator[cst.FunctionDef]:
    if isinstance(node, cst.FunctionDef):
        yield node
    elif not isinstance(node, cst.BaseExpression):
        for child in children(node):
            yield from _outermost_functions(child)


def _bound(syntax: Syntax, node: cst.CSTNode) -> Iterator[Assignment]:
    match node:
        case cst.Assign(targets=targets, value=value):
            for target in targets:
                yield from _pairs(syntax, target.target, value)
        case cst.AnnAssign(target=target, value=cst.BaseExpression() as value):
            yield from _pairs(syntax, target, value)
        case cst.NamedExpr(target=target, value=value):
            yield from _pairs(syntax, target, value)
        case cst.AugAssign(target=cst.Name(value=name)):
            yield Assignment(name, syntax.position(node))


def _pairs(
    syntax: Syntax, target: cst.BaseExpression, value: cst.BaseExpression
) -> Iterator[Assignment]:
    """The names bound by `target = value`, element by element where both are displays."""
    if isinstance(target, cst.Name):
        if not _collects(value):
            yield Assignment(target.value, instruction_position(syntax, value))
        return
    targets, values = elements(target), elements(value)
    if targets is not None and values is not None and len(targets) == len(values):
        for inner, part in zip(targets, values, strict=True):
            yield from _pairs(syntax, inner, part)


def _collects(value: cst.BaseExpression) -> bool:
    """Whether this computes several values in one expression, none of which the name stands for.

    Besides, before Python 3.12 a comprehension runs in a frame of its own, and later it does not.
    """
    match value:
        case cst.BaseComp():
            return True
        case cst.Call(func=cst.Name(value="tuple" | "list" | "dict"), args=[argument]):
            return isinstance(argument.value, cst.BaseComp)
    return False
