"""Follows the arguments of a function through its body and notes how they are used.

It is an abstract interpreter: arguments and their parts are followed through names, unpacking and
helper functions of the file. Both branches of an `if` count, and the body of a loop counts once.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import libcst as cst

from gradgen.frontend.reading.calls import effect_of
from gradgen.frontend.reading.flow import Flow, Notes
from gradgen.frontend.reading.syntax import Syntax
from gradgen.frontend.reading.target import SourceFunction, declared
from gradgen.frontend.reading.uses import (
    UNKNOWN,
    Closure,
    Names,
    Place,
    Use,
    UseKind,
    Value,
    located,
)

_OPENING_METHODS = frozenset(
    {"items", "keys", "values", "get", "pop", "update", "setdefault", "append", "_asdict"}
)
_DEEPEST = 40
"""Helpers within helpers further down than this are not followed."""


def read_uses(
    syntax: Syntax, target: SourceFunction, constants: Mapping[str, int | str]
) -> tuple[Use, ...]:
    """Every use of the arguments of a function, in the order in which they are met.

    `constants` are known attributes of its instance, by dotted path.
    """
    notes = Notes(syntax, target.instance, target.methods, constants)
    module = _Frame(notes, notes.module_names)
    module.run(syntax.module)
    arguments = {
        parameter.name.value: located(Place(parameter.name.value)) for parameter in target.declared
    }
    entered = module.enter(Closure(target.whole, notes.module_names), arguments)
    if target.factory is not None and entered.function is not None:
        module.enter(entered.function, arguments)
    return tuple(notes.uses)


class _Frame(Flow):
    """A flow that enters the functions of the file where they are called."""

    def closure(self, node: cst.FunctionDef | cst.Lambda) -> Value:
        """A function defined here; an inner one is followed at once, for what it takes from here.

        It may never be called by name, but be passed to a transformation or a loop.
        """
        function = Closure(node, self.names)
        if self.names is not self.notes.module_names:
            self.enter(function, {})
        return Value(function=function)

    def enter(self, function: Closure, arguments: Names) -> Value:
        """Follow the body of a function; what is not among the arguments has its default."""
        notes = self.notes
        if function.node in notes.active or len(notes.active) > _DEEPEST:
            return UNKNOWN
        at_module_level = function.names is notes.module_names
        key = (function, frozenset(arguments.items()))
        if at_module_level and key in notes.results:
            return notes.results[key]
        frame = _Frame(notes, dict(function.names))
        parameters = function.node.params
        defaults = {
            parameter.name.value: UNKNOWN
            if parameter.default is None
            else frame.value(parameter.default)
            for parameter in _all_parameters(parameters)
        }
        frame.names.update(defaults | arguments)
        notes.active.append(function.node)
        if isinstance(function.node, cst.Lambda):
            result = frame.value(function.node.body)
        else:
            frame.run(function.node.body)
            result = frame.result or UNKNOWN
        notes.active.pop()
        if at_module_level:
            notes.results[key] = result
        return result

    def call(self, node: cst.Call) -> Value:
        if isinstance(node.func, cst.Attribute):
            base = self.value(node.func.value)
            if base.places:
                return self.method(base, node.func.attr.value, node)
            callee = UNKNOWN
        else:
            callee = self.value(node.func)
        if callee.function is not None:
            return self.enter(callee.function, self.matched(callee.function, node))
        self.note(callee, "static", node.func)
        if callee.places:
            self.arguments(node.args)
            return UNKNOWN
        return self.known_call(node)

    def method(self, base: Value, name: str, node: cst.Call) -> Value:
        """A call of a method of an argument or of a part of it."""
        own = self.notes.methods.get(name)
        if own is not None and base == located(Place(self.notes.instance or "")):
            function = Closure(own, self.notes.module_names)
            known = {declared(own.params)[0].name.value: base} if declared(own.params) else {}
            return self.enter(function, self.matched(function, node, known))
        values = self.arguments(node.args)
        if name == "get" and values and isinstance(values[0].constant, str):
            return self.part(base, "key", values[0].constant, node)
        if name in _OPENING_METHODS:
            self.note(base, "open", node, how=f"used with .{name}(), which does not tell its parts")
            return UNKNOWN
        if name in ("_replace", "replace"):
            self.fields(base, node)
            return base
        if name == "copy":
            return base
        self.note(self.part(base, "field", name, node.func), "static", node.func)
        return UNKNOWN

    def fields(self, base: Value, node: cst.Call) -> None:
        """The keywords of a call that replaces fields."""
        for argument in node.args:
            if argument.keyword is not None:
                self.part(base, "field", argument.keyword.value, argument.keyword)

    def known_call(self, node: cst.Call) -> Value:
        """A call of a function that is not in the file."""
        name = self.notes.syntax.dotted(node.func)
        values = self.arguments(node.args)
        first = values[0] if values else UNKNOWN
        pairs = list(zip(node.args, values, strict=True))
        match effect_of(name, len(values)):
            case "number":
                self.note_all(pairs, "number")
            case "open":
                self.note_all(pairs, "open", f"passed to {name}")
            case "mapped":
                self.note_all(pairs[:1], "static")
                self.note_all(pairs[1:], "open", f"passed to {name}")
            case "same":
                return first
            case "rebuilt":
                self.note_all(pairs, "open", f"passed to {name}")
                return first
            case "transform":
                self.note_all(pairs[:1], "static")
                return first if first.function else UNKNOWN
            case "branch":
                self.note_all(pairs[1:3], "static")
                return self.branch(values)
            case "replace":
                self.fields(first, node)
                return first
            case "static":
                self.note_all(pairs[:1], "static")
        return UNKNOWN

    def note_all(
        self, pairs: Iterable[tuple[cst.Arg, Value]], kind: UseKind, how: str = ""
    ) -> None:
        for argument, value in pairs:
            self.note(value, kind, argument.value, how=how)

    def branch(self, values: Sequence[Value]) -> Value:
        """`cond(predicate, true, false, *operands)`."""
        results = [
            self.enter(
                function,
                {
                    parameter.name.value: value
                    for parameter, value in zip(
                        declared(function.node.params), values[3:], strict=False
                    )
                },
            )
            for value in values[1:3]
            if (function := value.function) is not None
        ]
        return results[0].join(results[1]) if len(results) == 2 else UNKNOWN

    def arguments(self, arguments: Sequence[cst.Arg]) -> list[Value]:
        """The values passed; what is spread by a star cannot be told."""
        values = []
        for argument in arguments:
            value = self.value(argument.value)
            if argument.star:
                self.note(value, "open", argument.value, how="spread into the arguments of a call")
            values.append(UNKNOWN if argument.star else value)
        return values

    def matched(self, function: Closure, node: cst.Call, known: Names | None = None) -> Names:
        """The arguments of a call of a function of the file, by parameter, with what is `known`."""
        parameters = function.node.params
        positional = [p.name.value for p in (*parameters.posonly_params, *parameters.params)]
        found: Names = dict(known or {})
        for argument in node.args:
            value = self.value(argument.value)
            if argument.star:
                found |= self.spread(function, node, argument, value, found)
            elif argument.keyword is not None:
                found[argument.keyword.value] = value
            elif free := [name for name in positional if name not in found]:
                found[free[0]] = value
        names = {parameter.name.value for parameter in declared(parameters)}
        return {name: value for name, value in found.items() if name in names}

    def spread(
        self, function: Closure, node: cst.Call, argument: cst.Arg, value: Value, bound: Names
    ) -> Names:
        """What `*state` or `**params` gives to a function of the file.

        Its parts are the parameters that the call does not give otherwise, if it must give them.
        """
        parameters = function.node.params
        keywords = {a.keyword.value for a in node.args if a.keyword is not None}
        later = node.args[node.args.index(argument) + 1 :]
        by_position = (*parameters.posonly_params, *parameters.params)
        candidates = by_position if argument.star == "*" else declared(parameters)
        free = [p for p in candidates if p.name.value not in keywords | set(bound)]
        if argument.star == "*":
            free = free[: len(free) - sum(not (a.star or a.keyword) for a in later)]
        names = [p.name.value for p in free]
        if argument.star == "*" and value.parts is not None:
            return dict(zip(names, value.parts, strict=False))
        takes_more = parameters.star_kwarg is not None or isinstance(parameters.star_arg, cst.Param)
        if takes_more or any(p.default is not None for p in free) or any(a.star for a in later):
            self.note(value, "open", argument.value, how="spread over parameters with defaults")
            return {}
        if argument.star == "**":
            return {name: self.part(value, "key", name, argument.value) for name in names}
        self.note(value, "unpacked", argument.value, count=len(names))
        return {
            name: self.part(value, "item", index, argument.value)
            for index, name in enumerate(names)
        }


def _all_parameters(parameters: cst.Parameters) -> Iterable[cst.Param]:
    """The parameters with `*args` and `**kwargs`."""
    yield from declared(parameters)
    if isinstance(parameters.star_arg, cst.Param):
        yield parameters.star_arg
    if parameters.star_kwarg is not None:
        yield parameters.star_kwarg
