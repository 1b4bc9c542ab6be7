"""What annotations and default values say about the structure of a value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import libcst as cst

from gradgen.frontend.reading.containers import Definition
from gradgen.frontend.reading.syntax import Syntax, elements, last_name, scope
from gradgen.ir.pytree import LeafKind, NodeKind, Structure, leaf, mapping, record, sequence

_LEAF_NAMES: Mapping[LeafKind, str] = {
    "float": "float floating Float Scalar Numeric Inexact Num Shaped float16 float32 float64 "
    "bfloat16 Array ndarray ArrayLike NDArray",
    "int": "int integer Int UInt Integer int8 int16 int32 int64 uint8 uint16 uint32 uint64",
    "bool": "bool bool_ Bool",
    "static": "str Callable Type type Literal",
    "none": "None NoneType",
}
_LEAVES: Mapping[str, LeafKind] = {
    name: kind for kind, names in _LEAF_NAMES.items() for name in names.split()
}
"""By the last part of the name: Python's, NumPy's, JAX's, chex's and jaxtyping's."""
_NODES: Mapping[str, NodeKind] = {
    "tuple": "tuple",
    "Tuple": "tuple",
    "Sequence": "tuple",
    "list": "list",
    "List": "list",
    "dict": "dict",
    "Dict": "dict",
    "Mapping": "dict",
}
_TRANSPARENT = frozenset({"Annotated", "Final", "Required", "NotRequired", "ReadOnly"})


@dataclass(frozen=True)
class Shape:
    """A structure that may be open: of any kind (None), or with any children (`keys` is None)."""

    kind: LeafKind | NodeKind | None = None
    keys: tuple[str, ...] | None = None
    children: tuple[Shape, ...] = ()
    element: Shape | None = None
    """What each child of an open container is."""
    type_name: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether this is neither a leaf nor a container with known children."""
        return self.leaf_kind is None and self.keys is None

    @property
    def leaf_kind(self) -> LeafKind | None:
        """The kind, if this is a leaf."""
        match self.kind:
            case "float" | "int" | "bool" | "static" | "none":
                return self.kind
        return None

    def outline(self) -> Structure:
        """The structure with what is open taken for a float."""
        children = tuple(child.outline() for child in self.children)
        items = tuple(zip(self.keys or (), children, strict=True))
        match self.kind:
            case "namedtuple" | "dataclass":
                return record(self.kind, self.type_name or "", items)
            case "tuple" | "list" if self.keys is not None:
                return sequence(self.kind, children)
            case "dict" if self.keys is not None:
                return mapping(items)
        return leaf(self.leaf_kind or "float")


OPEN = Shape()


@dataclass(frozen=True, eq=False)
class Annotations:
    """The names that annotations of one file may use: its container classes and its aliases."""

    definitions: Mapping[str, Definition]
    aliases: Mapping[str, cst.BaseExpression]

    def shape(self, node: cst.BaseExpression | None, within: frozenset[str] = frozenset()) -> Shape:
        """What an annotation says; `within` are the names being resolved, against circles."""
        match node:
            case cst.SimpleString() | cst.ConcatenatedString():
                return self.shape(self.unquoted(node), within)
            case cst.Subscript():
                return self._subscript(node, within)
            case cst.BinaryOperation(left=left, operator=cst.BitOr(), right=right):
                return _either(self.shape(left, within), self.shape(right, within))
            case cst.Name() | cst.Attribute():
                return self._named(node, within)
        return OPEN

    def of(self, definition: Definition, within: frozenset[str] = frozenset()) -> Shape:
        """The shape of a container class."""
        within |= {definition.name}
        children = tuple(
            Shape("static") if field.static else self.shape(field.annotation, within)
            for field in definition.fields
        )
        return Shape(definition.kind, definition.names, children, type_name=definition.name)

    def parameter(self, parameter: cst.Param) -> Shape:
        """The shape of a parameter, by its annotation, or by its default where that says more."""
        annotation = parameter.annotation
        shape = self.shape(None if annotation is None else annotation.annotation)
        default = self.default(parameter.default) if shape.is_open else OPEN
        return shape if default == OPEN else default

    def default(
        self, node: cst.BaseExpression | None, within: frozenset[str] = frozenset()
    ) -> Shape:
        """The shape of a default value that is a display, a string, or an instance of a class."""
        match node:
            case cst.Name(value=name) if name in self.aliases and name not in within:
                return self.default(self.aliases[name], within | {name})
            case cst.SimpleString() | cst.ConcatenatedString() | cst.Lambda():
                return Shape("static")
            case cst.Call(func=cst.Name(value=name)) if name in self.definitions:
                return self.of(self.definitions[name])
            case cst.Dict(elements=items):
                values = {
                    str(item.key.evaluated_value): self.default(item.value, within)
                    for item in items
                    if isinstance(item, cst.DictElement) and isinstance(item.key, cst.SimpleString)
                }
                whole = len(values) == len(items)
                return Shape("dict", tuple(values), tuple(values.values())) if whole else OPEN
            case cst.Tuple() | cst.List() if (parts := elements(node)) is not None:
                kind: NodeKind = "tuple" if isinstance(node, cst.Tuple) else "list"
                children = tuple(self.default(part, within) for part in parts)
                return Shape(kind, tuple(map(str, range(len(parts)))), children)
        return OPEN

    def unquoted(
        self, node: cst.SimpleString | cst.ConcatenatedString
    ) -> cst.BaseExpression | None:
        """The annotation that stands in a string; None if it holds none."""
        try:
            return cst.parse_expression(str(node.evaluated_value))
        except cst.ParserSyntaxError:
            return None

    def _named(self, node: cst.Name | cst.Attribute, within: frozenset[str]) -> Shape:
        name = last_name(node)
        if name is None or name in within:
            return OPEN
        if isinstance(node, cst.Name):
            if name in self.definitions:
                return self.of(self.definitions[name], within)
            if name in self.aliases:
                return self.shape(self.aliases[name], within | {name})
        if name in _NODES:
            return Shape(_NODES[name])
        return Shape(_LEAVES[name]) if name in _LEAVES else OPEN

    def _subscript(self, node: cst.Subscript, within: frozenset[str]) -> Shape:
        base = last_name(node.value)
        arguments = [
            element.slice.value for element in node.slice if isinstance(element.slice, cst.Index)
        ]
        if base in _TRANSPARENT:
            return self.shape(arguments[0], within)
        if base in ("Optional", "Union"):
            return _either(*(self.shape(argument, within) for argument in arguments))
        match None if base is None else _NODES.get(base):
            case "dict" if len(arguments) == 2:
                return Shape("dict", element=self.shape(arguments[1], within))
            case "list":
                return Shape("list", element=self.shape(arguments[0], within))
            case "tuple" if base == "Sequence" or isinstance(arguments[-1], cst.Ellipsis):
                return Shape("tuple", element=self.shape(arguments[0], within))
            case "tuple":
                children = tuple(self.shape(argument, within) for argument in arguments)
                return Shape("tuple", tuple(map(str, range(len(children)))), children)
        # `Float[Array, "n"]`, `NDArray[np.float32]`, and generic classes of the file.
        return self.shape(node.value, within)


def read_annotations(syntax: Syntax, definitions: Mapping[str, Definition]) -> Annotations:
    """The names of a file; an alias is any module-level assignment to a name, used or not."""
    aliases: dict[str, cst.BaseExpression] = {}
    for statement in scope(syntax.module.body):
        match statement:
            case (
                cst.Assign(targets=[cst.AssignTarget(target=cst.Name(value=name))], value=value)
                | cst.AnnAssign(target=cst.Name(value=name), value=cst.BaseExpression() as value)
            ):
                aliases[name] = value
            case cst.TypeAlias(name=cst.Name(value=name), value=value):
                aliases[name] = value
    return Annotations(definitions, aliases)


def _either(*shapes: Shape) -> Shape:
    """The shape of a union: the only alternative but None, or a float among numbers."""
    alternatives = {shape for shape in shapes if shape.kind != "none"}
    if len(alternatives) == 1:
        return alternatives.pop()
    kinds = {shape.kind for shape in alternatives}
    return Shape("float") if "float" in kinds and kinds <= {"float", "int", "bool"} else OPEN
