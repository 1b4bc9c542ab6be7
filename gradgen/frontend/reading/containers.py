"""The classes of a file whose values carry other values: NamedTuples, dataclasses, TypedDicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import libcst as cst

from gradgen.frontend.reading.syntax import Syntax, elements, last_name, scope
from gradgen.ir.source import Container

_DATACLASS_DECORATORS = frozenset(
    {"dataclass", "struct", "register_dataclass", "register_pytree_node_class"}
)
"""`struct` is that of tree_math."""
_DATACLASS_BASES = frozenset({"Module", "PyTreeNode"})
"""Classes of Equinox and Flax whose subclasses are dataclasses without a decorator."""
_STATIC_ARGUMENTS = {"static": "True", "pytree_node": "False"}
"""What marks a field that is no child: `metadata=dict(static=True)`, flax's `pytree_node=False`."""


@dataclass(frozen=True, eq=False)
class Field:
    """One field of a class, as written."""

    name: str
    annotation: cst.BaseExpression | None
    static: bool = False


@dataclass(frozen=True, eq=False)
class Definition:
    """A class that holds other values; a TypedDict is a plain dict when the program runs."""

    name: str
    kind: Literal["namedtuple", "dataclass", "dict"]
    fields: tuple[Field, ...]
    methods: frozenset[str]
    text: str

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the fields, in order."""
        return tuple(field.name for field in self.fields)

    def has(self, names: set[str]) -> bool:
        """Whether all of these are attributes of its instances."""
        return names <= {*self.names, *self.methods}


def read_definitions(syntax: Syntax) -> Mapping[str, Definition]:
    """The container classes of a file, by name, with what is later said to register them."""
    definitions: dict[str, Definition] = {}
    for line in syntax.module.body:
        for statement in line.body if isinstance(line, cst.SimpleStatementLine) else (line,):
            match statement:
                case cst.ClassDef(name=cst.Name(value=name)):
                    found = _class(syntax, statement, definitions)
                case cst.Assign(
                    targets=[cst.AssignTarget(target=cst.Name(value=name))],
                    value=cst.Call() as call,
                ):
                    found = _by_call(syntax, name, call, line)
                case cst.Expr(value=cst.Call(args=[cst.Arg(value=cst.Name(value=name)), *_]) as c):
                    found = _registered(syntax, definitions.get(name), c)
                case _:
                    continue
            if found is not None:
                definitions[name] = found
    return definitions


def as_containers(definitions: Mapping[str, Definition]) -> tuple[Container, ...]:
    """The classes that a generated file has to carry, in source order."""
    return tuple(
        Container(each.name, each.kind, each.names, each.text)
        for each in definitions.values()
        if each.kind != "dict"
    )


def _class(
    syntax: Syntax, node: cst.ClassDef, known: Mapping[str, Definition]
) -> Definition | None:
    """The definition that a class statement makes, None if its instances hold no fields."""
    name, text = node.name.value, syntax.code(node)
    bases = [last_name(base.value) for base in node.bases]
    parents = [known[base] for base in bases if base is not None and base in known]
    decorators = [decorator.decorator for decorator in node.decorators]
    inherited = tuple(field for parent in parents for field in parent.fields)
    methods = frozenset(_methods(node)).union(*(parent.methods for parent in parents))
    own = _fields(node)
    if "NamedTuple" in bases:
        return Definition(name, "namedtuple", own, methods, text)
    if "TypedDict" in bases:
        return Definition(name, "dict", own, methods, text)
    if parents and parents[0].kind != "dataclass":
        # Annotations in a subclass of a NamedTuple are no fields; in one of a TypedDict they are.
        added = own if parents[0].kind == "dict" else ()
        return Definition(name, parents[0].kind, inherited + added, methods, text)
    if not (_is_dataclass(decorators) or {*bases} & _DATACLASS_BASES):
        return replace(parents[0], name=name, methods=methods, text=text) if parents else None
    overridden = {field.name for field in own}
    fields = tuple(field for field in inherited if field.name not in overridden) + own
    if not fields:
        return None
    definition = Definition(name, "dataclass", fields, methods, text)
    for decorator in decorators:
        definition = _with_static(definition, decorator)
    return definition


def _is_dataclass(decorators: list[cst.BaseExpression]) -> bool:
    names = {last_name(decorator) for decorator in decorators}
    arguments = {
        last_name(argument.value)
        for decorator in decorators
        if isinstance(decorator, cst.Call)
        for argument in decorator.args
    }
    return bool((names | arguments) & _DATACLASS_DECORATORS)


def _fields(node: cst.ClassDef) -> tuple[Field, ...]:
    return tuple(
        Field(name, annotation, _is_static(value))
        for statement in scope(node.body.body)
        if isinstance(statement, cst.AnnAssign) and isinstance(statement.target, cst.Name)
        for name, annotation, value in [
            (statement.target.value, statement.annotation.annotation, statement.value)
        ]
        if _annotated_as(annotation) not in ("ClassVar", "KW_ONLY", "InitVar")
    )


def _annotated_as(annotation: cst.BaseExpression) -> str | None:
    base = annotation.value if isinstance(annotation, cst.Subscript) else annotation
    return last_name(base)


def _is_static(value: cst.BaseExpression | None) -> bool:
    """Whether a field's default is a `field(...)` that says it is no child of the pytree."""
    if not isinstance(value, cst.Call):
        return False
    for argument in value.args:
        keyword = "" if argument.keyword is None else argument.keyword.value
        if keyword == "metadata":
            return _metadata_is_static(argument.value)
        if _STATIC_ARGUMENTS.get(keyword) == last_name(argument.value):
            return True
    return False


def _metadata_is_static(metadata: cst.BaseExpression) -> bool:
    match metadata:
        case cst.Call():
            return _is_static(metadata)
        case cst.Dict(elements=items):
            return any(
                isinstance(item, cst.DictElement)
                and isinstance(item.key, cst.SimpleString)
                and _STATIC_ARGUMENTS.get(str(item.key.evaluated_value)) == last_name(item.value)
                for item in items
            )
    return False


def _methods(node: cst.ClassDef) -> Iterator[str]:
    for statement in scope(node.body.body):
        match statement:
            case cst.FunctionDef(name=cst.Name(value=name)):
                yield name
            case (
                cst.AnnAssign(target=cst.Name(value=name))
                | cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name)), *_])
            ):
                yield name


def _by_call(syntax: Syntax, name: str, call: cst.Call, line: cst.CSTNode) -> Definition | None:
    """`S = namedtuple("S", "v i")` and `S = NamedTuple("S", [("v", float)])`."""
    if last_name(call.func) not in ("namedtuple", "NamedTuple"):
        return None
    by_position = [argument.value for argument in call.args if argument.keyword is None]
    by_name = {a.keyword.value: a.value for a in call.args if a.keyword is not None}
    listed = by_position[1] if len(by_position) > 1 else by_name.get("field_names")
    fields = () if listed is None else tuple(_listed_fields(listed))
    return (
        Definition(name, "namedtuple", fields, frozenset(), syntax.code(line)) if fields else None
    )


def _listed_fields(node: cst.BaseExpression) -> Iterator[Field]:
    match node:
        case cst.Call(func=cst.Attribute(value=split, attr=cst.Name(value="split"))):
            node = split  # names are apart at commas and blanks, whichever the call says
    if isinstance(node, cst.SimpleString | cst.ConcatenatedString):
        for name in str(node.evaluated_value).replace(",", " ").split():
            yield Field(name, None)
    for element in elements(node) or ():
        match elements(element):
            case (cst.SimpleString() as quoted, annotation):
                yield Field(str(quoted.evaluated_value), annotation)
            case None if isinstance(element, cst.SimpleString):
                yield Field(str(element.evaluated_value), None)


def _registered(syntax: Syntax, definition: Definition | None, call: cst.Call) -> Definition | None:
    """The definition with `register_dataclass(S, ...)`, written after the class, in its text."""
    name = last_name(call.func)
    if definition is None or name is None or not name.startswith("register_"):
        return None
    text = f"{definition.text}\n\n\n{syntax.code(call)}"
    return _with_static(replace(definition, text=text), call)


def _with_static(definition: Definition, node: cst.BaseExpression) -> Definition:
    """The definition with the `meta_fields` of a registration marked as static."""
    if not isinstance(node, cst.Call):
        return definition
    static = {
        part.evaluated_value
        for argument in node.args
        if argument.keyword is not None and argument.keyword.value == "meta_fields"
        for part in elements(argument.value) or ()
        if isinstance(part, cst.SimpleString)
    }
    return replace(
        definition,
        fields=tuple(
            replace(field, static=field.static or field.name in static)
            for field in definition.fields
        ),
    )
