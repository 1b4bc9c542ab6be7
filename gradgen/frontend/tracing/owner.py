"""The instance that a method is called with: where it comes from, and what of it changes."""

from __future__ import annotations

import ast
import copy
import dataclasses
import functools
import inspect
import operator
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import jax
import jax.numpy as jnp

from gradgen.errors import GradgenError, error_in
from gradgen.frontend.tracing.blame import users_code
from gradgen.frontend.tracing.instances import changes, is_set_up, snapshot
from gradgen.ir.code import is_float
from gradgen.ir.source import Source
from gradgen.ir.trace import Input

_FLOATS = frozenset({"float", "Scalar", "ArrayLike", "FloatScalarLike"})
_ARRAYS = frozenset({"Array", "ndarray", "Float", "Inexact"})
"""What annotations call numbers, and arrays, by the last part of their names."""


@dataclasses.dataclass(frozen=True)
class Owner:
    """An instance of the method's class."""

    value: Any
    made_up: bool = False
    """Whether its numbers mean nothing, since only annotations tell what it holds."""


def find_owner(source: Source, namespace: dict[str, Any]) -> Owner:
    """An instance of the class of the method: one of the module's, or a new one.

    The first that the module has; or else what the constructor makes without arguments; or else a
    dataclass all of whose fields are annotated as numbers, with numbers made up.
    Raises GradgenError if there is none of these, or if the constructor fails.
    """
    name = source.function.partition(".")[0]
    cls = namespace[name]
    found = [value for value in namespace.values() if type(value) is cls]
    if found:
        return Owner(found[0])
    try:
        parameters = inspect.signature(cls).parameters.values()
    except (TypeError, ValueError):
        parameters = {}.values()
    required = [p for p in parameters if p.default is p.empty and p.kind not in _VARIADIC]
    if not required:
        what = f"the class {name} cannot be instantiated"
        hint = "make an instance at the top level of the file, or pass --example FILE:FUNCTION"
        with users_code(source.path, source.line_of, what, hint, at=source.position):
            return Owner(cls())
    made_up = {p.name: _number(p.annotation) for p in required}
    if hasattr(cls, "__dataclass_fields__") and None not in made_up.values():
        try:
            return Owner(cls(**made_up), made_up=True)
        except Exception:  # it checks its fields, say: made up numbers are no instance
            pass
    raise error_in(
        source,
        f"there is no instance of {name}, whose fields '{source.function}' could be read with",
        hint=f"make one at the top level of the file, as in {name.lower()} = {name}(...), or pass "
        "one with --example FILE:FUNCTION, a function that returns it",
    )


def constants_of(source: Source, owner: Owner) -> dict[str, int | str]:
    """The strings and integers that the source reads off its instance, by dotted path.

    Those of a property are among them. What is none of both, or is not there, is left out.
    """
    found: dict[str, int | str] = {}
    for node in ast.walk(ast.parse(source.text)):
        path = ast.unparse(node) if isinstance(node, ast.Attribute) else ""
        first, _, rest = path.partition(".")
        if first == source.instance and all(part.isidentifier() for part in rest.split(".")):
            with suppress(Exception):  # of a property that fails nothing is known
                value = operator.attrgetter(rest)(owner.value)
                if type(value) in (int, str):
                    found[path] = value
    return found


_VARIADIC = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


def _number(annotation: Any) -> Any:
    """A number of the kind that an annotation names; None if it names none."""
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", "")
    last = text.partition("[")[0].rpartition(".")[2]
    if last in _ARRAYS:
        return jnp.asarray(0.5)
    return 0.5 if last in _FLOATS else None


class Method:
    """A method as a function, which returns what it assigns to its instance beside its result.

    That is a dict by dotted path; a method that assigns nothing returns its result alone.
    Attributes may come to the instance that hold no numbers, if it then computes the same; raises
    GradgenError where the instance changes otherwise.
    """

    def __init__(self, source: Source, method: Callable[..., Any]) -> None:
        """The method of a source, which takes the instance first."""
        functools.update_wrapper(self, method)
        self._source = source
        self.method = method
        """What it stands for."""
        self.assigned: tuple[str, ...] = ()
        """What it was seen to assign."""

    def __call__(self, instance: Any, *arguments: Any, **more: Any) -> Any:
        """What the method returns, and where it assigns anything the next values of that."""
        fresh, before = copy.copy(instance), snapshot(instance)
        result = self.method(instance, *arguments, **more)
        state, others = changes(before, instance)
        if not others:
            self.assigned = tuple(state)
            return (result, state) if state else result

        def traced(one: Any) -> str:
            return str(
                jax.make_jaxpr(lambda: jax.tree.leaves(self.method(one, *arguments, **more)))()
            )

        if not is_set_up(before, instance) or traced(fresh) != traced(instance):
            raise _changes(self._source, others[0])
        return result


def as_written(function: Callable[..., Any]) -> Callable[..., Any]:
    """The method that a function stands for; any other function itself."""
    return function.method if isinstance(function, Method) else function


def with_assigned(source: Source, function: Callable[..., Any], inputs: Sequence[Input]) -> Source:
    """The source of a function that has run, with what it assigns.

    Raises GradgenError where that is held constant, and nobody said so.
    """
    if not isinstance(function, Method) or not function.assigned:
        return source
    names = [f"{source.instance}.{path}" for path in function.assigned]
    held = [i.path for i in inputs if i.path in names and is_float(i.dtype) and not i.wrt]
    if held and not any(directive.kind == "wrt" for directive in source.directives):
        wrt = ",".join(i.path for i in inputs if i.wrt or i.path in held)
        what = f"assigns {', '.join(held)}, and floats of Python are held constant"
        raise error_in(
            source,
            f"'{source.function}' {what}",
            hint=f"differentiate with respect to the state too, --wrt {wrt}, or make it an array",
        )
    return dataclasses.replace(source, assigned=function.assigned)


def _changes(source: Source, path: str) -> GradgenError:
    name = path.rpartition(".")[2]
    line, column = source.position.line, source.position.column
    for node in ast.walk(ast.parse(source.text)):
        stored = isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        if stored and node.attr == name and node.lineno > line:  # type: ignore[attr-defined]
            line, column = node.lineno, node.col_offset  # type: ignore[attr-defined]
            break
    return GradgenError(
        f"'{source.function}' changes '{path}' of its instance, which a derivative cannot show",
        hint=f"take '{name}' as an argument, and return its next value; where the class is not "
        "yours, in a function of a file of yours, that sets it and then calls the method",
        path=source.path,
        line=line,
        column=column,
    )
