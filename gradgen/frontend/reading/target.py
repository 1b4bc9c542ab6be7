"""Which function of a file is to be differentiated, and its signature."""

from __future__ import annotations

import ast
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

import libcst as cst

from gradgen.errors import GradgenError
from gradgen.frontend.reading.members import (
    Made,
    kind_of_method,
    made_functions,
    methods_of,
    returned_by,
)
from gradgen.frontend.reading.syntax import Syntax, children, scope, walk
from gradgen.frontend.reading.usage import has_own_rule, methods, registered_rules, used_by
from gradgen.ir.source import Parameter


@dataclass(frozen=True, eq=False)
class SourceFunction:
    """The function to differentiate, and where the module has it."""

    name: str
    """Dotted for a method: `LIF.step`."""
    function: cst.FunctionDef
    given: tuple[cst.Arg, ...] = ()
    """The arguments that `functools.partial` has bound."""
    methods: Mapping[str, cst.FunctionDef] = field(default_factory=dict)
    """Those of its class, where it is a method that takes its instance."""
    factory: cst.FunctionDef | None = None
    """The function that returns it, whose arguments it then takes as well."""

    @property
    def whole(self) -> cst.FunctionDef:
        """All of the code that runs."""
        return self.factory or self.function

    @property
    def declared(self) -> tuple[cst.Param, ...]:
        """The parameters that take one argument each, those of the factory first."""
        own = declared(self.function.params)
        return own if self.factory is None else (*declared(self.factory.params), *own)

    @property
    def instance(self) -> str | None:
        """The parameter that takes the instance, where it is a method."""
        return declared(self.function.params)[0].name.value if self.methods else None


def find_target(syntax: Syntax, name: str | None = None) -> SourceFunction:
    """What is called `name`, or the one public function that no other function uses.

    A name is that of a function, `Class.method`, a class, which means its `__call__`, what a call
    at module level has made of functions, or a function that returns one which it defines.

    Functions without parameters (`main`, an example of the arguments) are not candidates, and what
    they call is not used by that. A use in a method, and a rule of one's own (`custom_jvp`), decide
    only between functions that nothing else tells apart.

    Raises GradgenError if there is no such function or several, or if it is not one that can be
    differentiated (async, a generator, a class method, `*args` or `**kwargs`).
    """
    target = _only_candidate(syntax) if name is None else _named(syntax, name)
    _check(syntax, target)
    return target


def read_parameters(syntax: Syntax, target: SourceFunction) -> tuple[Parameter, ...]:
    """The parameters as written, positional ones first; what `partial` has bound has that default.

    As in Python, those after one that is bound by its name can be passed by name alone. So can
    those of a factory that have a default, where the function that it returns has others without.
    """
    parameters = _as_written(syntax, target.function)
    if target.factory is not None:
        return _of_both(_as_written(syntax, target.factory), parameters)
    by_position = [argument for argument in target.given if argument.keyword is None]
    by_name = {a.keyword.value: syntax.code(a.value) for a in target.given if a.keyword is not None}
    found: list[Parameter] = []
    for parameter in parameters[len(by_position) :]:
        if parameter.name in by_name:
            parameter = replace(parameter, kind="keyword", default=by_name[parameter.name])
        elif any(p.name in by_name for p in found):
            parameter = replace(parameter, kind="keyword")
        found.append(parameter)
    return tuple(found)


def _of_both(outer: Iterable[Parameter], inner: Iterable[Parameter]) -> tuple[Parameter, ...]:
    """The parameters of a factory and of the function that it returns, as those of one function."""
    required = any(p.kind == "positional" and not p.has_default for p in inner)
    found = [
        *(replace(p, kind="keyword") if required and p.has_default else p for p in outer),
        *inner,
    ]
    return tuple(sorted(found, key=lambda parameter: parameter.kind == "keyword"))


def _as_written(syntax: Syntax, function: cst.FunctionDef) -> tuple[Parameter, ...]:
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


def names_of(function: cst.FunctionDef) -> tuple[str, ...]:
    """What the parameters are called that take one argument each."""
    return tuple(parameter.name.value for parameter in declared(function.params))


def static_to_jit(syntax: Syntax, target: SourceFunction) -> list[str]:
    """The parameters that a decorator says are static to `jax.jit`; none of a method with it.

    A method is traced without its `jax.jit`, since its instance would be static as well.
    """
    names = names_of(target.function)
    found: list[str] = []
    for node in (n for each in target.function.decorators for n in walk(each.decorator)):
        match node:
            case cst.Arg(
                keyword=cst.Name(value="static_argnums" | "static_argnames"), value=value
            ) if target.instance is None:
                with suppress(ValueError, IndexError):  # computed, or of no parameter
                    said = ast.literal_eval(syntax.code(value))
                    several = said if isinstance(said, tuple | list) else [said]
                    found += [names[each] if isinstance(each, int) else each for each in several]
    return found


def _only_candidate(syntax: Syntax) -> SourceFunction:
    candidates = _candidates(syntax)
    match candidates:
        case [target]:
            return target
        case []:
            raise GradgenError(
                "there is no public function at module level to differentiate",
                hint=_another(syntax),
                path=syntax.path,
                line=1,
            )
    names = ", ".join(target.name for target in candidates)
    raise syntax.error(
        f"several functions could be meant: {names}",
        candidates[0].function,
        f"choose one: --function {candidates[-1].name}",
    )


def _another(syntax: Syntax) -> str:
    """What may be meant where there is no public function."""
    private = [name for name in syntax.functions if name.startswith("_")]
    found = _better_named(syntax)
    if found is None and private:
        found = f"name a private one: --function {private[0]}"
    return found or "define the step function with def, with its inputs as parameters"


def _better_named(syntax: Syntax) -> str | None:
    """What to do with a factory or a method, where there is one; None if there is none."""
    factories = [
        (name, made.function.name.value)
        for name, function in syntax.functions.items()
        if (made := returned_by(function)) is not None
    ]
    if factories:
        factory, name = factories[0]
        return (
            f"name the function that returns one, --function {factory}; or call it at module "
            f"level, as in {name} = {factory}(...)"
        )
    methods = [name for owner in syntax.classes for name in _method_names(syntax, owner)]
    if methods:
        return f"name a method: --function {methods[0]}"
    return None


def _method_names(syntax: Syntax, owner: str) -> list[str]:
    """The methods of a class that may be meant, `__call__` first."""
    public = [
        name
        for name, method in methods_of(syntax, owner).items()
        if not name.startswith("_")
        and (kind := kind_of_method(syntax, method)) in ("instance", "staticmethod")
        and len(declared(method.params)) > (kind == "instance")
    ]
    called = [owner] if "__call__" in methods_of(syntax, owner) else []
    return [*called, *(f"{owner}.{name}" for name in public)]


def _candidates(syntax: Syntax) -> list[SourceFunction]:
    """The best of several ever wider choices that is not empty."""
    functions = syntax.functions.values()
    rules = registered_rules(syntax)
    made = made_functions(syntax)
    public = [
        _of_function(function)
        for function in functions
        if not function.name.value.startswith("_")
        and function.name.value not in rules
        and _takes_arguments(function)
        and returned_by(function) is None
    ]
    plain = [target for target in public if not has_own_rule(target.function)]
    by_functions = used_by(function for function in functions if _takes_arguments(function))
    by_anything = by_functions | used_by(methods(syntax))
    choices: list[list[SourceFunction]] = [
        [target for target in plain if target.name not in by_anything],
        [target for target in plain if target.name not in by_functions],
        [_of_made(name, each) for name, each in made.items() if not name.startswith("_")],
    ]
    if _better_named(syntax) is None:
        # beside a class or a factory, a spike's surrogate is not what is meant
        choices += [[target for target in public if target.name not in by_functions], public]
    return next((choice for choice in choices if choice), [])


def _of_function(function: cst.FunctionDef) -> SourceFunction:
    return SourceFunction(function.name.value, function)


def _of_made(name: str, made: Made) -> SourceFunction:
    return SourceFunction(name, made.function, made.given)


def _takes_arguments(function: cst.FunctionDef) -> bool:
    parameters = function.params
    return bool(
        declared(parameters)
        or isinstance(parameters.star_arg, cst.Param)
        or parameters.star_kwarg is not None
    )


def _named(syntax: Syntax, name: str) -> SourceFunction:
    name = unicodedata.normalize("NFKC", name)
    if name in syntax.functions:
        function = syntax.functions[name]
        inner = returned_by(function)
        return _of_function(function) if inner is None else _of_factory(syntax, function, inner)
    made = made_functions(syntax)
    if name in made:
        return _of_made(name, made[name])
    cls, _, member = name.partition(".")
    if cls in syntax.classes:
        return _method(syntax, cls, member or "__call__")
    for owner in walk(syntax.module):
        if not isinstance(owner, cst.ClassDef | cst.FunctionDef):
            continue
        for node in scope(owner.body.body):
            if isinstance(node, cst.FunctionDef) and name in (
                node.name.value,
                f"{owner.name.value}.{node.name.value}",
            ):
                raise _not_at_module_level(syntax, node, owner)
    known = [*syntax.functions, *made]
    known += [name for owner in syntax.classes for name in _method_names(syntax, owner)]
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


def _of_factory(syntax: Syntax, factory: cst.FunctionDef, made: Made) -> SourceFunction:
    """The function that another one returns, as one of the arguments of both."""
    name = factory.name.value
    target = SourceFunction(name, made.function, factory=factory)
    names = [parameter.name.value for parameter in target.declared]
    twice = sorted({each for each in names if names.count(each) > 1})
    computed = [p for p in declared(made.function.params) if not _is_literal(syntax, p.default)]
    problems = [
        (bool(made.given), "binds arguments of the function that it returns"),
        (bool(twice), f"and the function that it returns both take {', '.join(twice)}"),
        (bool(computed), "returns a function with default values that it computes"),
    ]
    for present, what in problems:
        if present:
            raise syntax.error(
                f"{name!r} {what}",
                factory,
                f"name what a call of it makes: {made.function.name.value} = {name}(...) at "
                "module level; or call that in a function of another file",
            )
    return target


def _is_literal(syntax: Syntax, default: cst.BaseExpression | None) -> bool:
    try:
        return default is None or bool([ast.literal_eval(syntax.code(default))])
    except ValueError:
        return False


def _method(syntax: Syntax, owner: str, name: str) -> SourceFunction:
    methods = methods_of(syntax, owner)
    cls = syntax.classes[owner]
    if name not in methods:
        known = _method_names(syntax, owner)
        raise syntax.error(
            f"the class {owner} has no method {name!r} in this file",
            cls,
            f"there are: {', '.join(known)}"
            if known
            else f"define {name!r} in the class {owner}, or name a function",
        )
    method = methods[name]
    kind = kind_of_method(syntax, method)
    if kind == "staticmethod":
        return SourceFunction(f"{owner}.{name}", method)
    if kind != "instance":
        raise syntax.error(
            f"{name!r} is a {kind} of the class {owner}",
            method,
            "a step is a method that takes its instance, a staticmethod or a function",
        )
    if not declared(method.params):
        raise syntax.error(f"{name!r} takes no instance", method, "give it the parameter self")
    return SourceFunction(f"{owner}.{name}", method, methods=methods)


def _not_at_module_level(
    syntax: Syntax, function: cst.FunctionDef, owner: cst.ClassDef | cst.FunctionDef
) -> GradgenError:
    name = function.name.value
    if isinstance(owner, cst.ClassDef):
        if owner.name.value in syntax.classes:
            hint = f"name it with its class: --function {owner.name.value}.{name}"
        else:
            hint = f"define the class {owner.name.value} at the top level of the file"
        return syntax.error(f"{name!r} is a method of class {owner.name.value}", function, hint)
    return syntax.error(
        f"{name!r} is defined inside function {owner.name.value}",
        function,
        f"call {owner.name.value} at module level, as in {name} = {owner.name.value}(...), and "
        f"let it return {name}; or move the computation into a function at module level",
    )


def _check(syntax: Syntax, target: SourceFunction) -> None:
    function, name = target.function, target.name
    if name.startswith("__") and name.endswith("__"):
        raise syntax.error(
            f"{name!r} is a name that modules have for themselves", function, "call it otherwise"
        )
    for each in dict.fromkeys((target.whole, function)):
        _check_alone(syntax, name, each)
    if len(target.declared) == bool(target.methods):
        raise syntax.error(
            f"{name!r} takes no arguments, so there is nothing to differentiate",
            function,
            "pass what it depends on as arguments",
        )


def _check_alone(syntax: Syntax, name: str, function: cst.FunctionDef) -> None:
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


def _own_nodes(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """The nodes that belong to a function itself and to no function inside it."""
    yield node
    for child in children(node):
        if not isinstance(child, cst.FunctionDef | cst.ClassDef | cst.Lambda):
            yield from _own_nodes(child)
