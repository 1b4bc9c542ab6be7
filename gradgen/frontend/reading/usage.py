"""Which functions of a file others use, which have rules of their own, and which are such rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import libcst as cst

from gradgen.frontend.reading.syntax import Syntax, children, last_name, scope, walk

_CUSTOM_RULES = frozenset({"custom_jvp", "custom_vjp", "custom_gradient"})


def methods(syntax: Syntax) -> Iterator[cst.FunctionDef]:
    """The functions in the classes of a file."""
    for statement in scope(syntax.module.body):
        if isinstance(statement, cst.ClassDef):
            yield from (n for n in walk(statement) if isinstance(n, cst.FunctionDef))


def has_own_rule(function: cst.FunctionDef) -> bool:
    """Whether `custom_jvp` or one of its kin is among the decorators, perhaps within `partial`."""
    return any(
        last_name(node) in _CUSTOM_RULES
        for decorator in function.decorators
        for node in walk(decorator.decorator)
    )


def registered_rules(syntax: Syntax) -> set[str]:
    """The functions that are rules of others: by `@f.defjvp`, or named in `f.defvjp(fwd, bwd)`."""
    decorated = {
        name
        for name, function in syntax.functions.items()
        if any(_is_registration(decorator.decorator) for decorator in function.decorators)
    }
    return decorated | {
        argument.value.value
        for statement in scope(syntax.module.body)
        if isinstance(statement, cst.Expr)
        and isinstance(statement.value, cst.Call)
        and _is_registration(statement.value)
        for argument in statement.value.args
        if isinstance(argument.value, cst.Name)
    }


def _is_registration(node: cst.BaseExpression) -> bool:
    function = node.func if isinstance(node, cst.Call) else node
    return isinstance(function, cst.Attribute) and function.attr.value.startswith("def")


def used_by(functions: Iterable[cst.FunctionDef]) -> set[str]:
    """The names that these functions take from outside themselves."""
    return {
        name
        for function in functions
        for name in _free_names(function)
        if name != function.name.value
    }


def _free_names(function: cst.FunctionDef) -> set[str]:
    return set(_names(function)) - {name for node in walk(function) for name in _binds(node)}


def _binds(node: cst.CSTNode) -> Iterator[str]:
    match node:
        case cst.Param(name=cst.Name(value=name)):
            yield name
        case cst.AssignTarget(target=cst.Name(value=name)):
            yield name


def _names(node: cst.CSTNode) -> Iterator[str]:
    """The names read in a tree: neither attributes nor the keywords of calls."""
    if isinstance(node, cst.Name):
        yield node.value
    label = (
        node.attr
        if isinstance(node, cst.Attribute)
        else node.keyword
        if isinstance(node, cst.Arg)
        else None
    )
    for child in children(node):
        if child is not label:
            yield from _names(child)
