"""The structure of each argument: from directives, annotations, defaults, or its uses."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import libcst as cst

from gradgen.errors import GradgenError
from gradgen.frontend.reading.annotations import Annotations
from gradgen.frontend.reading.decision import Decision
from gradgen.frontend.reading.directives import parse_example, parse_shape, parse_static
from gradgen.frontend.reading.evidence import evidence_of
from gradgen.frontend.reading.interpreter import read_uses
from gradgen.frontend.reading.syntax import Syntax, walk
from gradgen.frontend.reading.target import SourceFunction, static_to_jit
from gradgen.ir.pytree import LeafKind, Structure, leaf
from gradgen.ir.source import Directive


def read_structures(
    syntax: Syntax,
    target: SourceFunction,
    directives: Iterable[Directive],
    annotations: Annotations,
    discovered: Collection[str],
    constants: Mapping[str, int | str],
) -> tuple[tuple[str, Structure], ...]:
    """The structures of `discovered` arguments, where the source tells more than that of a number.

    An example directive decides before an annotation, that before a default value that is written
    as a container, and that before use. What is annotated as an array and only taken apart may be
    one, or a container.
    Raises GradgenError, with the place, if an argument is used as a container and its structure
    cannot be told.
    """
    given = _given(syntax, target, directives, annotations)
    uses = read_uses(syntax, target, constants) if discovered else ()
    unread = unread_containers(target, annotations)
    found: list[tuple[str, Structure]] = []
    for parameter in target.declared:
        name = parameter.name.value
        if name not in discovered or (name in unread and name not in given):
            continue
        if name in given:
            structure: Structure | None = given[name]
        else:
            place, shape = syntax.position(parameter.name), annotations.parameter(parameter)
            evidence = evidence_of(uses, name)
            structure = Decision(syntax.path, place, annotations, evidence, shape).structure()
        if structure is not None:
            found.append((name, structure))
    return tuple(found)


def unread_containers(target: SourceFunction, annotations: Annotations) -> frozenset[str]:
    """The arguments that are annotated as containers of any length, and never named."""
    named = {node.value for node in walk(target.whole.body) if isinstance(node, cst.Name)}
    shapes = {p.name.value: annotations.parameter(p) for p in target.declared}
    containers = {
        n for n, s in shapes.items() if s.kind in ("tuple", "list", "dict") and s.keys is None
    }
    return frozenset(containers - named)


def _given(
    syntax: Syntax,
    target: SourceFunction,
    directives: Iterable[Directive],
    annotations: Annotations,
) -> Mapping[str, Structure]:
    """What is said beside the code: by `jax.jit`, that an argument is static; by directives.

    Those give examples, and say that a static argument is static, and that one is an array.
    """
    records = {
        name: annotations.of(definition).outline()
        for name, definition in annotations.definitions.items()
    }
    given = dict.fromkeys(static_to_jit(syntax, target), leaf("static"))
    stated: dict[str, Structure] = {}
    for directive in directives:
        if directive.kind == "static":
            given |= {n: leaf("static") for n, _ in parse_static(directive.text) if "." not in n}
        elif directive.kind == "shape":
            for name, _, dtype in parse_shape(directive.text):
                kind: LeafKind = "float" if dtype is None else "bool" if dtype == "bool" else "int"
                if "." not in name:
                    stated[name] = leaf(kind)
        elif directive.kind == "example":
            try:
                given |= parse_example(directive.text, records)
            except GradgenError as error:
                place = directive.position
                if place.line == 0:
                    raise
                raise error.located(syntax.path, place.line, place.column) from None
    return stated | given
