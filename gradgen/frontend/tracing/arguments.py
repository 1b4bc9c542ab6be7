"""The arguments of a step function: their pytrees, which are differentiated, which are bound."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from gradgen.errors import GradgenError, error_in
from gradgen.frontend.tracing.blame import users_code
from gradgen.frontend.tracing.containers import default_of, in_jax_order
from gradgen.frontend.tracing.owner import Owner
from gradgen.frontend.tracing.signature import ExampleLeaf, Leaf, Signature
from gradgen.frontend.tracing.values import bind, dtype_of, literal_of, part_of, structure_of
from gradgen.ir.pytree import Structure, join, leaf
from gradgen.ir.source import Parameter, Source
from gradgen.ir.trace import Argument, Bound


def read_signature(
    source: Source,
    namespace: dict[str, Any],
    function: Callable[..., Any],
    *,
    wrt: Sequence[str] = (),
    static: Mapping[str, str] | None = None,
    example: Any = None,
    owner: Owner | None = None,
) -> Signature:
    """Settle every argument of the target.

    `namespace` holds the names that the target sees. `wrt` holds dotted paths, `static`
    expressions by argument name (evaluated in the namespace),
    `example` what an example function returned: a tuple of arguments, or a dict of them by name;
    `owner` the instance of a method.

    Raises GradgenError for names that do not exist, arguments that cannot be understood, and for
    differentiation with respect to an integer.
    """
    given = {p.name: _default(source, function, p.name) for p in source.parameters if p.has_default}
    examples = examples_of(source, example)
    if owner is not None and source.instance is not None:
        examples |= {source.instance: owner.value}
    bound: dict[str, Any] = {}
    classes = {name: value for name, value in namespace.items() if isinstance(value, type)}
    arguments = []
    values = dict(static or {})
    for name in values:
        if not (source.instance and _is_within(name, source.instance)):
            _require_known(source, name, [p.name for p in source.parameters], "argument")
    for parameter in source.parameters:
        name = parameter.name
        if name in values:
            bound[name] = _evaluate(source, namespace, parameter, values[name])
            structure = leaf("static")
        else:
            structure = _structure(source, parameter, given, examples, classes)
            try:
                structure = in_jax_order(structure, classes)
            except GradgenError as error:
                place = parameter.position
                raise error.located(source.path, place.line, place.column) from None
            value = examples.get(name, given.get(name))
            for path, part in _static_parts(structure, value, name, classes):
                unknown = part is None and value is None
                if unknown and name not in (*given, *examples, *source.unread):
                    message = f"the argument '{path}' is not a number and has no default value"
                    hint = f"bind it when generating: --static {name}=VALUE"
                    if path != name:
                        hint = "give the field a default value, or say what it is with "
                        hint += "--example FILE:FUNCTION"
                    raise _refused(source, parameter, message, hint)
                bound[path] = part
            if name == source.instance:
                for path in (path for path in values if _is_within(path, name)):
                    _require_known(source, path, [p for p, _ in structure.leaves(name)], "field")
                    structure = _with_static(structure, path.split(".")[1:])
                    bound[path] = _evaluate(source, namespace, parameter, values[path])
        bindings = tuple(bind(p, v) for p, v in bound.items() if _is_within(p, name))
        default = None
        if parameter.default is not None:
            default = _default_literal(bindings[0] if name in bound else None, given[name])
        if structure.kind == "static" and name in source.unread:
            bindings = ()  # any other value would do as well
        keyword_only = parameter.kind == "keyword"
        numbers: tuple[tuple[str, float], ...] = ()
        made_up = owner is not None and name == source.instance and owner.made_up
        if structure.kind == "object" and not made_up:
            numbers = tuple(_numbers(structure, examples[name], name))
        arguments.append(Argument(name, keyword_only, default, structure, bindings, numbers))
    arguments = _apply_wrt_kinds(arguments, wrt)
    leaves = _leaves(source, arguments, wrt, examples, owner)
    return Signature(tuple(arguments), leaves, bound, classes, examples)


def _numbers(structure: Structure, value: Any, path: str) -> Iterator[tuple[str, float]]:
    """The single numbers among the floats of a value, by path."""
    if structure.kind == "float" and np.ndim(value) == 0:
        yield path, float(value)
    for key, child in zip(structure.keys, structure.children, strict=True):
        yield from _numbers(child, part_of(value, structure, key), join(path, key))


def _with_static(structure: Structure, steps: Sequence[str]) -> Structure:
    """The structure with a part of it static."""
    if not steps:
        return leaf("static")
    children = tuple(
        _with_static(child, steps[1:]) if join("", key) == steps[0] else child
        for key, child in zip(structure.keys, structure.children, strict=True)
    )
    return dataclasses.replace(structure, children=children)


def _given(structure: Structure, value: Any, path: str) -> Iterator[tuple[str, ExampleLeaf]]:
    """What an example has in the places of the leaves of an argument."""
    for key, child in zip(structure.keys, structure.children, strict=True):
        yield from _given(child, part_of(value, structure, key), join(path, key))
    if structure.is_leaf and structure.kind not in ("static", "none"):
        shape = value.shape if hasattr(value, "shape") else np.shape(value)
        dtype = dtype_of(value)
        own = dtype == "key" or (shape != () and structure.kind != "float")
        yield path, ExampleLeaf(shape, dtype if own else structure.kind)


def _static_parts(
    structure: Structure, value: Any, path: str, classes: Mapping[str, type]
) -> Iterator[tuple[str, Any]]:
    """What is static in a value, by dotted path.

    Where there is no value, that is what a class has as default, or None.
    """
    if structure.kind == "static":
        yield path, value
    for key, child in zip(structure.keys, structure.children, strict=True):
        if value is None:
            part = default_of(classes.get(structure.type_name or ""), key)
        else:
            part = part_of(value, structure, key)
        yield from _static_parts(child, part, join(path, key), classes)


def _refused(source: Source, parameter: Parameter, message: str, hint: str) -> GradgenError:
    return error_in(source, message, hint=hint, at=parameter.position)


def _default_literal(binding: Bound | None, value: Any) -> str:
    """A default value for the generated file; what is bound is its own default."""
    if binding is None:
        return literal_of(value)
    # a function cannot be written down; None stands for the one that was bound
    return binding.shown if binding.kind == "value" else "None"


def _default(source: Source, function: Callable[..., Any], name: str) -> Any:
    try:
        return inspect.signature(function).parameters[name].default
    except (KeyError, TypeError, ValueError):
        raise error_in(
            source,
            f"'{source.function}' takes no argument '{name}' any more once the file has run",
            hint="a decorator keeps the signature with functools.wraps",
        ) from None


def examples_of(source: Source, example: Any) -> dict[str, Any]:
    """The example arguments by name, of what an example function has returned."""
    if example is None:
        return {}
    names = [parameter.name for parameter in source.parameters]
    if isinstance(example, dict):
        for name in example:
            _require_known(source, str(name), names, "argument")
        return dict(example)
    if not isinstance(example, tuple):
        example = (example,)
    if len(example) > len(names):
        raise GradgenError(
            f"the example function returns {len(example)} arguments, "
            f"but '{source.function}' takes {len(names)}",
            path=source.path,
        )
    return dict(zip(names, example, strict=False))


def _evaluate(source: Source, namespace: dict[str, Any], parameter: Parameter, text: str) -> Any:
    with users_code(
        source.path,
        source.line_of,
        f"the static value of '{parameter.name}' cannot be evaluated",
        "it is a Python expression, in which the source file's names are known",
        at=parameter.position,
    ):
        return eval(text, namespace)


def _structure(
    source: Source,
    parameter: Parameter,
    given: Mapping[str, Any],
    examples: Mapping[str, Any],
    classes: dict[str, type],
) -> Structure:
    if parameter.name in examples:
        value = examples[parameter.name]
        instance = parameter.name == source.instance
        return structure_of(source, parameter, value, classes, arrays=True, instance=instance)
    known = source.structure(parameter.name)
    if known is None and parameter.name in source.unread:
        known = leaf("static")
    if parameter.has_default:
        default = given[parameter.name]
        found = structure_of(source, parameter, default, classes)
        if known is None:
            return found
        if default is None and known.kind not in ("static", "none"):
            message = f"the default value of '{parameter.name}' is None, and it is used as "
            hint = (
                f"bind it to that, and state no shape for it: --static {parameter.name}=None; or "
                "take the default away"
            )
            raise _refused(source, parameter, message + known.pretty(), hint)
        _require_alike(source, parameter, known, found)
    return leaf("float") if known is None else known


def _require_alike(
    source: Source, parameter: Parameter, known: Structure, found: Structure
) -> None:
    """Make sure that a default value has the containers that the source is known to expect."""
    if known.is_leaf and found.is_leaf:
        return
    alike = (known.kind, sorted(known.keys)) == (found.kind, sorted(found.keys))
    if not alike:
        raise _refused(
            source,
            parameter,
            f"the default value of '{parameter.name}' is {found.pretty()}, and it is used as "
            f"{known.pretty()}",
            "give it a default value of that form; or say above the function what it holds, as in "
            f"# gradgen: example {parameter.name}={found.pretty()}",
        )
    parts = dict(zip(found.keys, found.children, strict=True))
    for key, child in zip(known.keys, known.children, strict=True):
        _require_alike(source, parameter, child, parts[key])


def _apply_wrt_kinds(arguments: list[Argument], wrt: Sequence[str]) -> list[Argument]:
    """An integer default that is asked to be differentiated is a float."""
    return [
        dataclasses.replace(argument, structure=leaf("float"))
        if argument.name in wrt
        and argument.default is not None
        and argument.structure.kind == "int"
        else argument
        for argument in arguments
    ]


def _leaves(
    source: Source,
    arguments: Sequence[Argument],
    wrt: Sequence[str],
    examples: Mapping[str, Any],
    owner: Owner | None,
) -> tuple[Leaf, ...]:
    found: list[tuple[str, str, bool]] = []
    given: dict[str, ExampleLeaf] = {}
    for argument in arguments:
        own = owner if argument.name == source.instance else None
        held: set[str] = set()
        if argument.name in examples:
            example = examples[argument.name]
            held |= set(_held(argument.structure, example, argument.name))
            if not (own and own.made_up):
                given |= _given(argument.structure, example, argument.name)
        for path, structure in argument.structure.leaves(argument.name):
            if structure.kind not in ("static", "none"):
                found.append((path, structure.kind, argument.default is None and path not in held))
    paths = [path for path, _, _ in found]
    for name in wrt:
        chosen = [path for path in paths if _is_within(path, name)]
        if not chosen:
            _require_known(source, name, [*paths, *(a.name for a in arguments)], "argument")
            raise error_in(
                source, f"'{name}' is bound when the code is generated and cannot be differentiated"
            )
        kinds = {kind for path, kind, _ in found if path in chosen}
        if "float" not in kinds:
            raise error_in(
                source,
                f"'{name}' is not a float and cannot be differentiated",
                hint="integers and truth values are constants",
            )

    def selected(path: str, by_default: bool) -> bool:
        return any(_is_within(path, name) for name in wrt) if wrt else by_default

    return tuple(
        Leaf(path, kind, kind == "float" and selected(path, by_default), given.get(path))
        for path, kind, by_default in found
    )


def _held(structure: Structure, value: Any, path: str, within: bool = False) -> Iterator[str]:
    """The paths of numbers of Python in objects, which no gradient of JAX is taken by."""
    if within and structure.is_leaf and isinstance(value, float):
        yield path
    within = within or structure.kind == "object"
    for key, child in zip(structure.keys, structure.children, strict=True):
        yield from _held(child, part_of(value, structure, key), join(path, key), within)


def _is_within(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(prefix + ".")


def _require_known(source: Source, name: str, known: Sequence[str], what: str) -> None:
    if name in known:
        return
    close = difflib.get_close_matches(name, known, n=3)
    suggestion = f"did you mean {' or '.join(repr(c) for c in close)}?" if close else None
    raise error_in(
        source,
        f"'{source.function}' has no {what} '{name}'",
        hint=suggestion or f"there are: {', '.join(known)}",
    )
