"""The instance that a method is called with: where it comes from, and that it stays as it is."""

from __future__ import annotations

import ast
import copy
import dataclasses
import functools
import inspect
import operator
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import jax
import jax.numpy as jnp

from gradgen.errors import GradgenError
from gradgen.frontend.tracing.blame import users_code
from gradgen.frontend.tracing.instances import changed, is_set_up, snapshot
from gradgen.ir.source import Source

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
    raise GradgenError(
        f"there is no instance of {name}, whose fields '{source.function}' could be read with",
        hint=f"make one at the top level of the file, as in {name.lower()} = {name}(...), or pass "
        "one with --example FILE:FUNCTION, a function that returns it",
        path=source.path,
        line=source.position.line,
        column=source.position.column,
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


def keeping_its_instance(source: Source, method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, which raises GradgenError where it changes its instance.

    Attributes may come to it that hold no numbers, if it then computes the same.
    """

    @functools.wraps(method)
    def watched(instance: Any, *arguments: Any, **more: Any) -> Any:
        fresh, before = copy.copy(instance), snapshot(instance)
        result = method(instance, *arguments, **more)
        path = changed(before, instance)
        if path is None:
            return result

        def traced(one: Any) -> str:
            return str(jax.make_jaxpr(lambda: jax.tree.leaves(method(one, *arguments, **more)))())

        if not is_set_up(before, instance) or traced(fresh) != traced(instance):
            raise _changes(source, path)
        return result

    return watched


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
