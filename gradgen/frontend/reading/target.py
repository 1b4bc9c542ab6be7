"""Which function of a file is to be differentiated, and its signature."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from difflib import get_close_matches

import libcst as cst

from gradgen.errors import GradgenError
from gradgen.frontend.reading.syntax import Syntax, children, last_name, scope, walk
from gradgen.ir.source import Parameter

_CUSTOM_RULES = frozenset({"custom_jvp", "custom_vjp", "custom_gradient"})


def find_target(syntax: Syntax, name: str | None = None) -> cst.FunctionDef:
    """The function called `name`, or the one public function that no other function uses.

    Functions without parameters (`main`, an example of the arguments) are not candidates, and what
    they call is not used by that. A use in a method, and a rule of one's own (`custom_jvp`), decide
    only between functions that nothing else tells apart.

    Raises GradgenError if there is no such function or several, or if it is not one that can be
    differentiated (async, a generator, a method, `*args` or `**kwargs`).
    """
    function = _only_candidate(syntax) if name is None else _named(syntax, name)
    _check(syntax, function)
    return function


def read_parameters(syntax: Syntax, function: cst.FunctionDef) -> tuple[Parameter, ...]:
    """The parameters as written, positional ones first."""
    return tuple(
        Parameter(
            parameter.name.value,
            "keyword" if parameter in function.params.kwonly_params else "positional",
            None if parameter.annotation is None else syntax.code(parameter.annotation.annotation),
            None if parameter.default is None else syntax.code(parameter.default),
            syntax.position(parameter.name),
        )
        for parameter in declared(function.params)
    )


def declared(parameters: cst.Parameters) -> tuple[cst.Param, ...]:
    """The parameters that take one argument each: all but `*args` and `**kwargs`."""
    return (*parameters.posonly_params, *parameters.params, *parameters.kwonly_params)


def _only_candidate(syntax: Syntax) -> cst.FunctionDef:
    candidates = _candidates(syntax)
    match candidates:
        case [function]:
            return function
        case []:
            private = [name for name in syntax.functions if name.startswith("_")]
            raise GradgenError(
                "there is no public function at module level to differentiate",
                hint=f"name a private one: --function {private[0]}"
                if private
                else "define the step function with def, with its inputs as parameters",
                path=syntax.path,
                line=1,
            )
    names = ", ".join(function.name.value for function in candidates)
    raise syntax.error(
        f"several functions could be meant: {names}",
        candidates[0],
        f"choose one: --function {candidates[-1].name.value}",
    )


def _candidates(syntax: Syntax) -> list[cst.FunctionDef]:
    """The best of several ever wider choices that is not empty."""
    functions = syntax.functions.values()
    rules = _registered_rules(syntax)
    public = [
        function
        for function in functions
        if not function.name.value.startswith("_")
        and function.name.value not in rules
        and _takes_arguments(function)
    ]
    plain = [function for function in public if not has_own_rule(function)]
    by_functions = _used_by(function for function in functions if _takes_arguments(function))
    by_anything = by_functions | _used_by(_methods(syntax))
    choices = (
        [function for function in plain if function.name.value not in by_anything],
        [function for function in plain if function.name.value not in by_functions],
        [function for function in public if function.name.value not in by_functions],
        public,
    )
    return next((choice for choice in choices if choice), [])


def _takes_arguments(function: cst.FunctionDef) -> bool:
    parameters = function.params
    return bool(
        declared(parameters)
        or isinstance(parameters.star_arg, cst.Param)
        or parameters.star_kwarg is not None
    )


def _methods(syntax: Syntax) -> Iterator[cst.FunctionDef]:
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


def _registered_rules(syntax: Syntax) -> set[str]:
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


def _used_by(functions: Iterable[cst.FunctionDef]) -> set[str]:
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


def _named(syntax: Syntax, name: str) -> cst.FunctionDef:
    name = unicodedata.normalize("NFKC", name)
    function = syntax.functions.get(name)
    if function is not None:
        return function
    for owner in walk(syntax.module):
        if not isinstance(owner, cst.ClassDef | cst.FunctionDef):
            continue
        for node in scope(owner.body.body):
            if isinstance(node, cst.FunctionDef) and name in (
                node.name.value,
                f"{owner.name.value}.{node.name.value}",
            ):
                raise _not_at_module_level(syntax, node, owner)
    known = list(syntax.functions)
    close = get_close_matches(name, known, n=1)
    raise GradgenError(
        f"there is no function {name!r} in this file",
        hint=f"did you mean {close[0]!r}? It defines: {', '.join(known)}"
        if close
        else f"it defines: {', '.join(known)}"
        if known
        else "it defines no function at module level",
        path=syntax.path,
        line=1,
    )


def _not_at_module_level(
    syntax: Syntax, function: cst.FunctionDef, owner: cst.ClassDef | cst.FunctionDef
) -> GradgenError:
    if isinstance(owner, cst.ClassDef):
        message = f"{function.name.value!r} is a method of class {owner.name.value}"
    else:
        message = f"{function.name.value!r} is defined inside function {owner.name.value}"
    return syntax.error(
        message,
        function,
        "only functions at module level can be differentiated: move the computation into one "
        "that takes all that it needs as arguments",
    )


def _check(syntax: Syntax, function: cst.FunctionDef) -> None:
    name = function.name.value
    if name.startswith("__") and name.endswith("__"):
        raise syntax.error(
            f"{name!r} is a name that modules have for themselves", function, "call it otherwise"
        )
    if function.asynchronous is not None:
        raise syntax.error(
            f"{name!r} is an async function", function, "a step function is a plain def"
        )
    if any(isinstance(node, cst.Yield) for node in _own_nodes(function.body)):
        raise syntax.error(
            f"{name!r} is a generator", function, "return the results instead of yielding them"
        )
    star = function.params.star_arg
    variable = star if isinstance(star, cst.Param) else function.params.star_kwarg
    if variable is not None:
        raise syntax.error(
            f"{name!r} takes a variable number of arguments, {variable.star}{variable.name.value}",
            variable.name,
            "name each argument, or gather several in a tuple, a dict or a NamedTuple",
        )
    if not _takes_arguments(function):
        raise syntax.error(
            f"{name!r} takes no arguments, so there is nothing to differentiate",
            function,
            "pass what it depends on as arguments",
        )


def _own_nodes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The nodes that belong to a function itself and to no function inside it."""
    yield node
    for child in children(node):
        if not isinstance(child, cst.FunctionDef | cst.ClassDef | cst.Lambda):
            yield from _own_nodes(child)
