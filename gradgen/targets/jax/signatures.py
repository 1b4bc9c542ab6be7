"""The signatures of generated functions, and calls that pass their arguments on."""

from __future__ import annotations

from collections.abc import Sequence

from gradgen.ir.trace import Argument
from gradgen.targets.jax.layout import call, flat, layout, literal
from gradgen.targets.jax.ownership import users


def define(function: str, arguments: Sequence[Argument]) -> list[str]:
    """`def` with the source's parameters; `_flatten` takes them all by position too."""
    parameters = _parameters(arguments, by_keyword=function != "_flatten")
    return layout("def ", call(function, parameters), ":")


def _default_name(argument: Argument) -> str:
    return f"_DEFAULT_{argument.name.upper()}"


def default_containers(arguments: Sequence[Argument]) -> list[str]:
    """Default values that are containers, as constants of the module."""
    return [
        "\n".join(layout(f"{_default_name(a)} = ", literal(a.default)))
        for a in arguments
        if a.default is not None and not a.structure.is_leaf
    ]


def _parameters(
    arguments: Sequence[Argument], default: str | None = None, *, by_keyword: bool = True
) -> tuple[str, ...]:
    shown: list[str] = []
    keyword_only = optional = False
    for argument in arguments:
        if by_keyword and argument.keyword_only and not keyword_only:
            shown.append("*")
            keyword_only = True
        value = argument.default
        if value is None and optional and argument.keyword_only and not by_keyword:
            value = "None"  # required all the same: it is always passed
        optional = optional or value is not None
        if value is not None:
            value = flat(literal(value)) if argument.structure.is_leaf else _default_name(argument)
            value = default or value
        name = users(argument.name)
        shown.append(name if value is None else f"{name}={value}")
    return tuple(shown)


def define_tangents(arguments: Sequence[Argument]) -> list[str]:
    """`def` for tangents: None is the default where the source has one."""
    parameters = _parameters(arguments, default="None", by_keyword=False)
    return layout("def ", call("_flatten_tangents", parameters), ":")


def function_header(name: str, parameters: Sequence[str]) -> str:
    """`def` with plain parameters."""
    return "\n".join(layout("def ", call(name, parameters), ":"))


def flatten_statement(target: str, arguments: Sequence[Argument]) -> list[str]:
    """The arguments handed to `_flatten`."""
    names = [users(argument.name) for argument in arguments]
    passed = [f"{n}={n}" if a.keyword_only else n for n, a in zip(names, arguments, strict=True)]
    return layout(f"{target} = ", call("_flatten", passed), "", 4)
