"""Functions that are not defined at module level: methods, and what module-level calls make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import libcst as cst

from gradgen.frontend.reading.syntax import Syntax, last_name, scope, walk

_WRAPPERS = frozenset({"jit", "filter_jit", "checkpoint", "remat", "filter_checkpoint"})
"""What takes a function and returns one that is called alike, by the last part of its name."""


@dataclass(frozen=True, eq=False)
class Made:
    """A function that a module-level assignment makes of others."""

    function: cst.FunctionDef
    """What runs when it is called."""
    given: tuple[cst.Arg, ...] = ()
    """The arguments that `functools.partial` has bound."""


def made_functions(syntax: Syntax) -> Mapping[str, Made]:
    """What names at module level are bound to by calls that make functions.

    `make_step(0.9)`, where `make_step` returns a function that it defines, `partial(f, dt=0.1)`,
    and `jax.jit` of either or of a function; the last assignment of a name counts.
    """
    known = {name: Made(function) for name, function in syntax.functions.items()}
    found: dict[str, Made] = {}
    for statement in scope(syntax.module.body):
        match statement:
            case cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))], value=value):
                made = _made(value, known)
                if made is not None and isinstance(value, cst.Call):
                    known[name] = found[name] = made
    return {name: made for name, made in found.items() if name not in syntax.functions}


def _made(node: cst.BaseExpression, known: Mapping[str, Made]) -> Made | None:
    """The function that an expression stands for, None if that cannot be told."""
    match node:
        case cst.Name(value=name):
            return known.get(name)
        case cst.Call(func=called, args=[first, *more]) if last_name(called) == "partial":
            inner = _made(first.value, known)
            if inner is None or any(argument.star for argument in more):
                return None
            return replace(inner, given=(*inner.given, *more))
        case cst.Call(func=called, args=[first, *_]) if last_name(called) in _WRAPPERS:
            return _made(first.value, known)
        case cst.Call(func=cst.Name(value=name)) if name in known:
            return returned_by(known[name].function)
    return None


def returned_by(factory: cst.FunctionDef) -> Made | None:
    """The function that a function defines and returns, if all of its returns say the same one."""
    body = factory.body.body
    inside = {
        statement.name.value: Made(statement)
        for statement in scope(body)
        if isinstance(statement, cst.FunctionDef)
    }
    returned = [
        None if statement.value is None else _made(statement.value, inside)
        for statement in scope(body)
        if isinstance(statement, cst.Return)
    ]
    functions = {id(made.function) for made in returned if made is not None}
    return returned[-1] if len(functions) == 1 and None not in returned else None


def methods_of(syntax: Syntax, owner: str) -> dict[str, cst.FunctionDef]:
    """The methods of a class, by name: its own, and those of its base classes in the file."""
    found: dict[str, cst.FunctionDef] = {}
    for cls in _ancestry(syntax, owner):
        for statement in scope(cls.body.body):
            if isinstance(statement, cst.FunctionDef):
                found.setdefault(statement.name.value, statement)
    return found


def _ancestry(
    syntax: Syntax, name: str, within: frozenset[str] = frozenset()
) -> Iterator[cst.ClassDef]:
    """A class and its bases, as far as they are in the file, nearest first."""
    cls = syntax.classes.get(name)
    if cls is None or name in within:
        return
    yield cls
    for base in cls.bases:
        yield from _ancestry(syntax, last_name(base.value) or "", within | {name})


def kind_of_method(syntax: Syntax, method: cst.FunctionDef) -> str:
    """`instance` for one that takes its instance, else what its decorator is called.

    Python binds nothing where a function is taken off its class, `Cell.rate`. One that the file
    takes off classes alone, and whose first parameter is not called `self`, is static.
    """
    names = {last_name(decorator.decorator) for decorator in method.decorators}
    kinds = [kind for kind in ("staticmethod", "classmethod", "property") if kind in names]
    if kinds:
        return kinds[0]
    owners = [
        node.value
        for node in walk(syntax.module)
        if isinstance(node, cst.Attribute) and node.attr.value == method.name.value
    ]
    unbound = all(isinstance(node, cst.Name) and node.value in syntax.classes for node in owners)
    first = [parameter.name.value for parameter in method.params.params[:1]]
    return "staticmethod" if owners and unbound and first not in ([], ["self"]) else "instance"
